//! A judgement in words: a line for each pair, a table, and the line for a closing note.

use super::{
    Criterion, Judged, Judgement, Metric,
    pair::{Pair, incomparable, new_goes_first},
    statistics::Interval,
    verdict::{Verdict, assess},
};
use crate::{
    cell::Cell,
    figures::{Fold, fold},
    table::Table,
};

/// One pair with both runs' figures: printed for every pair, comparable or not.
#[must_use]
pub fn pair_line(criterion: &Criterion, pair: &Pair) -> String {
    let metric = criterion.metric;
    let unit = unit(metric);
    let run = |name: &str, cell: &Cell| {
        let value = number(metric.value(cell), digits(metric));
        let mut text = format!("{name} {value} {unit}");
        if let Some(traffic) = &cell.traffic {
            text += &format!(
                " ({:.5} wake-ups and {:.3} reads per delivery, p50 {:.2} ms)",
                traffic.wakes, traffic.reads, traffic.delay.p50
            );
        }
        if let Some(failure) = &cell.failure {
            text += &format!(" ({failure})");
        }
        text
    };
    let (old, new) = (run("old", &pair.old), run("new", &pair.new));
    let runs = if new_goes_first(pair.number) {
        format!("{new}, {old}")
    } else {
        format!("{old}, {new}")
    };
    let (old, new) = (metric.value(&pair.old), metric.value(&pair.new));
    let ratio = old.zip(new).map(|(old, new)| new / old);
    let note = incomparable(metric, pair).map(|reason| format!("; NOT COMPARABLE: {reason}"));
    format!(
        "{} pair {}: ratio {}: {runs}; others {:.0} %{}",
        criterion.workload,
        pair.number,
        number(ratio, 3),
        pair.background * 100.0,
        note.unwrap_or_default()
    )
}

/// Every pair, a table with the medians, and the line for the note.
#[must_use]
pub fn markdown(judged: &Judged) -> String {
    let mut text = format!("\n### Old {}, new {}\n\n", judged.old, judged.new);
    for judgement in &judged.judgements {
        for pair in &judgement.pairs {
            text += &format!("- {}\n", pair_line(&judgement.criterion, pair));
        }
    }
    let titles = [
        "old",
        "new",
        "figure",
        "from",
        "to",
        "limit",
        "pairs",
        "comparable",
    ];
    let mut table = Table::new(["workload", "judged by", "verdict"], titles);
    for judgement in &judged.judgements {
        let (metric, found) = (judgement.criterion.metric, assess(judgement));
        let median = |side: fn(&Pair) -> &Cell| {
            let values = judgement.pairs.iter().map(side);
            let values: Vec<_> = values.filter_map(|cell| metric.value(cell)).collect();
            fold(values, Fold::Median)
        };
        let places = figure_digits(metric);
        let end = |end: fn(&Interval) -> f64| (found.interval.as_ref().map(end), places);
        table.row(
            [
                &judgement.criterion.workload,
                title(metric),
                found.verdict.words(),
            ],
            [
                (median(|pair| &pair.old), digits(metric)),
                (median(|pair| &pair.new), digits(metric)),
                end(|it| it.median),
                end(|it| it.low),
                end(|it| it.high),
                (Some(judgement.criterion.limit), limit_digits(metric)),
                (Some(judgement.pairs.len() as f64), 0),
                (Some(found.comparable as f64), 0),
            ],
        );
    }
    text += &format!("\n{}\n", table.into_text());
    for judgement in &judged.judgements {
        if let Some(remedy) = assess(judgement).verdict.remedy() {
            text += &format!("{}: {remedy}.\n\n", judgement.criterion.workload);
        }
    }
    text + &note(judged) + "\n"
}

/// The line for a closing note: for each workload the figure, its interval, the limit, the
/// comparable pairs and the verdict.
#[must_use]
pub fn note(judged: &Judged) -> String {
    let parts = judged.judgements.iter().map(note_part);
    format!(
        "new {} against old {}, medians of pairs with their 95 % intervals: {}",
        judged.new,
        judged.old,
        parts.collect::<Vec<_>>().join("; ")
    )
}

fn note_part(judgement: &Judgement) -> String {
    let (criterion, found) = (&judgement.criterion, assess(judgement));
    let metric = criterion.metric;
    let places = figure_digits(metric);
    let figure = found.interval.map_or_else(
        || "no figure".to_owned(),
        |it| {
            let (median, low, high) = (it.median, it.low, it.high);
            format!("{median:.places$} [{low:.places$}, {high:.places$}]")
        },
    );
    let sign = if metric.is_absolute() { "B" } else { "×" };
    format!(
        "{} {figure} {sign} (at most {:.*}; {} of {} pairs) {}",
        criterion.workload,
        limit_digits(metric),
        criterion.limit,
        found.comparable,
        judgement.pairs.len(),
        found.verdict.words()
    )
}

/// The worst verdict: a failure before anything inconclusive.
#[must_use]
pub fn overall(judged: &Judged) -> Option<Verdict> {
    let verdicts = || judged.judgements.iter().map(|it| assess(it).verdict);
    let failed = verdicts().find(|verdict| verdict.fails());
    failed
        .or_else(|| verdicts().find(|verdict| !verdict.is_final()))
        .or_else(|| verdicts().next())
}

fn title(metric: Metric) -> &'static str {
    match metric {
        Metric::DeliveryCpu => "CPU per delivery, new ÷ old",
        Metric::ConnectCpu => "CPU per connect, new ÷ old",
        Metric::IdleBytes => "memory of an idle client, new",
    }
}

fn unit(metric: Metric) -> &'static str {
    match metric {
        Metric::DeliveryCpu | Metric::ConnectCpu => "µs",
        Metric::IdleBytes => "B",
    }
}

/// Decimal places of a run's figure.
fn digits(metric: Metric) -> usize {
    match metric {
        Metric::DeliveryCpu => 4,
        Metric::ConnectCpu => 2,
        Metric::IdleBytes => 0,
    }
}

/// Decimal places of the figure that is judged.
fn figure_digits(metric: Metric) -> usize {
    if metric.is_absolute() { 0 } else { 3 }
}

fn limit_digits(metric: Metric) -> usize {
    if metric.is_absolute() { 0 } else { 2 }
}

fn number(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| "–".to_owned(), |value| format!("{value:.digits$}"))
}

#[cfg(test)]
mod tests {
    use super::{
        super::tests::{judgement, pair},
        *,
    };

    fn judged(ratios: &[f64]) -> Judged {
        Judged {
            old: "1a2b3c4".to_owned(),
            new: "target/release/womack".to_owned(),
            judgements: vec![judgement(1.03, ratios)],
        }
    }

    #[test]
    fn note_is_one_line_with_figure_interval_limit_pairs_and_verdict() {
        assert_eq!(
            note(&judged(&[1.0; 11])),
            "new target/release/womack against old 1a2b3c4, medians of pairs with their 95 % \
             intervals: W4 1.000 [1.000, 1.000] × (at most 1.03; 11 of 11 pairs) holds"
        );
        assert!(note(&judged(&[1.1; 11])).ends_with("11 of 11 pairs) FAILS"));
        assert!(note(&judged(&[1.0; 3])).contains("W4 no figure"));
    }

    #[test]
    fn line_of_a_pair_has_both_runs_in_their_order_with_wake_ups_and_p50() {
        let criterion = judgement(1.03, &[]).criterion;
        let mut second = pair(2, 1.5);
        let line = pair_line(&criterion, &second);
        assert_eq!(
            line,
            "W4 pair 2: ratio 1.500: \
             new 6.0000 µs (1.00000 wake-ups and 1.000 reads per delivery, p50 1.00 ms), \
             old 4.0000 µs (1.00000 wake-ups and 1.000 reads per delivery, p50 1.00 ms); others 1 %"
        );
        second.background = 0.5;
        let line = pair_line(&criterion, &second);
        assert!(
            line.ends_with("NOT COMPARABLE: other processes had 50 % of the CPUs"),
            "{line}"
        );
    }

    #[test]
    fn report_has_every_pair_even_those_left_out() {
        let mut judged = judged(&[1.0; 14]);
        judged.judgements[0].pairs[3].background = 0.5;
        let text = markdown(&judged);
        for number in 1..=14 {
            assert!(text.contains(&format!("W4 pair {number}:")), "{text}");
        }
        assert!(text.contains("| 14 | 13 |"), "{text}");
    }

    #[test]
    fn one_failure_is_worse_than_what_is_inconclusive() {
        let mut judged = judged(&[1.0; 11]);
        assert_eq!(overall(&judged), Some(Verdict::Holds));
        judged.judgements.push(judgement(1.03, &[1.0; 3]));
        assert_eq!(overall(&judged), Some(Verdict::TooFew));
        judged.judgements.push(judgement(1.03, &[1.1; 11]));
        assert_eq!(overall(&judged), Some(Verdict::Exceeds));
    }
}
