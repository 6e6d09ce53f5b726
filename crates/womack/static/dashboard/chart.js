// A line chart as SVG: one to three series over the same time, newest on the right.

const NAMESPACE = 'http://www.w3.org/2000/svg';
const WIDTH = 600;
const HEIGHT = 100;
const STYLES = ['first', 'second', 'third'];

function svg(name, attributes) {
  const element = document.createElementNS(NAMESPACE, name);
  for (const [key, value] of Object.entries(attributes)) {
    element.setAttribute(key, value);
  }
  return element;
}

function html(name, className, text = '') {
  const element = document.createElement(name);
  element.className = className;
  element.textContent = text;
  return element;
}

// The next of 1, 2, 5, 10, 20, ... times a power of ten.
function roundUp(number) {
  const power = 10 ** Math.floor(Math.log10(number));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= number * 0.999);
}

export class Chart {
  // Draws into `figure`, which has a caption. `names` are those of the series, and `format` writes
  // a value for people.
  constructor(figure, title, names, format) {
    this.title = title;
    this.names = names;
    this.format = format;
    this.legend = html('div', 'legend');
    this.values = names.map((name, at) => {
      const entry = html('span', STYLES[at], `${name} `);
      const value = html('b', '', '–');
      entry.append(value);
      this.legend.append(entry);
      return value;
    });
    this.svg = svg('svg', { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: 'none', role: 'img' });
    for (const y of [0, HEIGHT / 2, HEIGHT]) {
      this.svg.append(svg('line', { class: 'grid', x1: 0, x2: WIDTH, y1: y, y2: y }));
    }
    this.area = svg('path', { class: 'area first' });
    this.svg.append(this.area);
    this.lines = names.map((_, at) => svg('path', { class: `series ${STYLES[at]}` }));
    this.svg.append(...this.lines);
    this.top = html('span', 'scale top');
    this.middle = html('span', 'scale middle');
    const ago = html('div', 'ago quiet');
    ago.append(html('span', '', '2 min ago'), html('span', '', 'now'));
    const plot = html('div', 'plot');
    const frame = html('div', 'plot');
    frame.append(this.svg, this.top, this.middle);
    plot.append(frame, ago);
    figure.append(this.legend, plot);
  }

  // `series` has a list of values for each name, null where there is none; `most` is how many
  // values the width is for.
  draw(series, most) {
    const known = series.flat().filter((value) => value !== null);
    const highest = Math.max(...known, 0);
    const top = highest > 0 ? roundUp(highest) : 1;
    const x = (at, length) => WIDTH - ((length - 1 - at) * WIDTH) / (most - 1);
    const y = (value) => HEIGHT - (value / top) * HEIGHT;
    const paths = series.map((values) => {
      let path = '';
      let isDown = false;
      values.forEach((value, at) => {
        if (value !== null) {
          path += `${isDown ? 'L' : 'M'}${x(at, values.length).toFixed(1)} ${y(value).toFixed(2)}`;
        }
        isDown = value !== null;
      });
      return path;
    });
    paths.forEach((path, at) => this.lines[at].setAttribute('d', path));
    // Under several lines there is no area, and none where a value is missing.
    const [values] = series;
    const isWhole = series.length === 1 && values.length > 1 && !values.includes(null);
    const from = x(0, values.length).toFixed(1);
    this.area.setAttribute('d', isWhole ? `${paths[0]}V${HEIGHT}H${from}Z` : '');
    this.top.textContent = this.format(top);
    this.middle.textContent = this.format(top / 2);
    const latest = series.map((values) => values.findLast((value) => value !== null) ?? null);
    latest.forEach((value, at) => {
      this.values[at].textContent = value === null ? '–' : this.format(value);
    });
    const said = latest.map((value, at) => `${this.names[at]} ${value === null ? 'unknown' : this.format(value)}`);
    const label = `${this.title} in the last two minutes: ${said.join(', ')}, highest ${this.format(highest)}`;
    this.svg.setAttribute('aria-label', label);
  }
}
