// Clients in a page, all subscribed to the channel `a`: `clients` holds, by name, the id of each,
// whether its subscription is live, and the arguments of each message, as JSON.

window.clients = {};

window.connect = {
  "womack.js"(name, transport) {
    const womack = new Womack({ transports: [transport], "force new connection": true });
    listen(name, womack.io, () => womack.sessionID);
    womack.subscribe("a", (_, envelope) => clients[name].got.push(JSON.stringify([envelope])));
  },

  // 0.8 and 0.9.
  "socket.io"(name, transport) {
    const socket = io.connect(location.origin, {
      transports: [transport],
      "force new connection": true,
    });
    listen(name, socket, () => socket.socket.sessionid);
    socket.on("a", (...args) => clients[name].got.push(JSON.stringify(args)));
  },

  // 1 and 2.
  jsonp(name) {
    const socket = io(location.origin, {
      transports: ["polling"],
      forceJSONP: true,
      forceNew: true,
    });
    listen(name, socket, () => socket.id);
    socket.on("a", (...args) => clients[name].got.push(JSON.stringify(args)));
  },

  EventSource(name) {
    const client = (clients[name] = { id: null, live: false, got: [] });
    const source = new EventSource("/events?channel=a");
    source.addEventListener("womack:session", ({ data }) => {
      client.id = JSON.parse(data).session;
      client.live = true;
    });
    source.addEventListener("a", ({ data }) => client.got.push(`[${data}]`));
  },
};

function listen(name, socket, id) {
  const client = (clients[name] = { id: null, live: false, got: [] });
  socket.on("connect", () => {
    client.id = id();
    socket.emit("subscribe", { channel: "a" }, ({ ok }) => {
      client.live = ok;
    });
  });
}
