// uWebSockets doing Womack's work: `peer-uwebsockets REDIS_HOST REDIS_PORT`.
//
// What is published on Redis is framed as a Socket.IO event and published to uWebSockets' topic
// of that name. Redis is read on the event loop of the clients, so that a message is copied from
// one socket's bytes to the others' without changing threads. Of Socket.IO it knows what the
// clients of this benchmark say.

#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "App.h"

using namespace std::string_view_literals;

namespace {

constexpr auto KEY = "womack:ns:default:"sv;
constexpr auto OPEN =
    R"(0{"sid":"uws","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000})"sv;

struct Client {};
using Socket = uWS::WebSocket<false, true, Client>;

// An acknowledgement that waits until so many channels are confirmed.
struct Waiting {
    size_t needed;
    Socket *socket;
    std::string answer;
};

// The program's state; there is one thread.
struct State {
    uWS::App app;
    us_socket_t *redis = nullptr;
    // What the socket to Redis did not take yet, and the beginning of a reply without its end.
    std::string outgoing, unread;
    std::unordered_set<std::string> channels;
    size_t confirmed = 0;
    std::deque<Waiting> waiting;
    std::string frame;
};

State *state;

void flush() {
    auto &bytes = state->outgoing;
    int written = us_socket_write(0, state->redis, bytes.data(), static_cast<int>(bytes.size()), 0);
    bytes.erase(0, static_cast<size_t>(written > 0 ? written : 0));
}

void subscribe(std::string_view channel) {
    if (!state->channels.emplace(channel).second) {
        return;
    }
    auto length = std::to_string(KEY.size() + channel.size());
    state->outgoing += "*2\r\n$9\r\nSUBSCRIBE\r\n$" + length + "\r\n";
    state->outgoing.append(KEY).append(channel).append("\r\n");
}

// `420["subscribe",{"channel":"a"}]`, or `{"channels":["a","b"]}`.
void onEvent(Socket *socket, std::string_view packet) {
    auto digits = packet.substr(2, packet.find('[') - 2);
    std::string answer = "43" + std::string(digits) + R"([{"ok":true,"channels":[)";
    size_t at = 0;
    for (int index = 0; at < packet.size(); index++) {
        auto start = packet.find('"', at);
        auto end = packet.find('"', start + 1);
        if (end == std::string_view::npos) {
            break;
        }
        at = end + 1;
        // The first two strings are the event's name and the argument's key.
        if (index < 2) {
            continue;
        }
        auto channel = packet.substr(start + 1, end - start - 1);
        subscribe(channel);
        socket->subscribe(channel);
        answer += (index > 2 ? ",\"" : "\"");
        answer.append(channel).append("\"");
    }
    flush();
    answer += "]}]";
    if (state->confirmed == state->channels.size()) {
        socket->send(answer, uWS::OpCode::TEXT);
    } else {
        state->waiting.push_back({state->channels.size(), socket, std::move(answer)});
    }
}

void onMessage(Socket *socket, std::string_view packet, uWS::OpCode) {
    if (packet == "40") {
        socket->send(R"(40{"sid":"uws"})", uWS::OpCode::TEXT);
    } else if (packet.starts_with("42")) {
        onEvent(socket, packet);
    }
}

void onClose(Socket *socket, int, std::string_view) {
    std::erase_if(state->waiting, [=](const Waiting &it) { return it.socket == socket; });
}

// Redis confirms in the order in which it was asked.
void onConfirmed() {
    state->confirmed++;
    auto &waiting = state->waiting;
    while (!waiting.empty() && waiting.front().needed <= state->confirmed) {
        waiting.front().socket->send(waiting.front().answer, uWS::OpCode::TEXT);
        waiting.pop_front();
    }
}

void deliver(std::string_view key, std::string_view payload) {
    auto channel = key.substr(KEY.size());
    auto &frame = state->frame;
    frame.assign(R"(42[")").append(channel).append(R"(",)").append(payload).append("]");
    state->app.publish(channel, frame, uWS::OpCode::TEXT);
}

// Reads the parts of a reply one after the other; `nullopt` while they are not all there.
struct Scanner {
    std::string_view bytes;
    size_t at = 0;

    std::optional<std::string_view> line() {
        auto end = bytes.find('\n', at);
        if (end == std::string_view::npos) {
            return std::nullopt;
        }
        auto found = bytes.substr(at, end - at - 1);
        at = end + 1;
        return found;
    }

    std::optional<std::string_view> bulk() {
        auto head = line();
        size_t length = 0;
        if (!head || std::from_chars(head->data() + 1, head->data() + head->size(), length).ec != std::errc()
            || bytes.size() < at + length + 2) {
            return std::nullopt;
        }
        auto found = bytes.substr(at, length);
        at += length + 2;
        return found;
    }
};

// Handles what is complete, and tells how many bytes that was.
size_t onReplies(std::string_view bytes) {
    Scanner scanner{bytes};
    size_t used = 0;
    while (auto head = scanner.line()) {
        if (*head != "*3") {
            std::fprintf(stderr, "redis: %.*s\n", static_cast<int>(head->size()), head->data());
            std::exit(1);
        }
        auto kind = scanner.bulk();
        auto key = kind ? scanner.bulk() : std::nullopt;
        auto last = !key ? std::nullopt : *kind == "message" ? scanner.bulk() : scanner.line();
        if (!last) {
            break;
        }
        if (*kind == "message") {
            deliver(*key, *last);
        } else {
            onConfirmed();
        }
        used = scanner.at;
    }
    return used;
}

us_socket_t *onRedis(us_socket_t *socket, char *data, int length) {
    std::string_view bytes(data, static_cast<size_t>(length));
    auto &unread = state->unread;
    if (unread.empty()) {
        unread.assign(bytes.substr(onReplies(bytes)));
    } else {
        unread.append(bytes);
        unread.erase(0, onReplies(unread));
    }
    return socket;
}

us_socket_t *onRedisGone(us_socket_t *, int, void *) {
    std::exit(1);
}

void connectRedis(const char *host, int port) {
    auto *loop = reinterpret_cast<us_loop_t *>(uWS::Loop::get());
    auto *context = us_create_socket_context(0, loop, 0, {});
    us_socket_context_on_open(0, context, [](us_socket_t *socket, int, char *, int) { return socket; });
    us_socket_context_on_data(0, context, onRedis);
    us_socket_context_on_writable(0, context, [](us_socket_t *socket) {
        flush();
        return socket;
    });
    us_socket_context_on_close(0, context, onRedisGone);
    us_socket_context_on_end(0, context, [](us_socket_t *socket) { return onRedisGone(socket, 0, nullptr); });
    us_socket_context_on_timeout(0, context, [](us_socket_t *socket) { return socket; });
    us_socket_context_on_long_timeout(0, context, [](us_socket_t *socket) { return socket; });
    us_socket_context_on_connect_error(0, context, [](us_socket_t *socket, int) {
        return onRedisGone(socket, 0, nullptr);
    });
    state->redis = us_socket_context_connect(0, context, host, port, nullptr, 0, 0);
}

} // namespace

int main(int count, char **arguments) {
    if (count != 3) {
        std::fprintf(stderr, "usage: peer-uwebsockets REDIS_HOST REDIS_PORT\n");
        return 2;
    }
    state = new State;
    connectRedis(arguments[1], std::atoi(arguments[2]));
    state->app.ws<Client>("/*", {
        .idleTimeout = 0,
        .maxBackpressure = 1 << 20,
        .closeOnBackpressureLimit = true,
        .sendPingsAutomatically = false,
        .open = [](auto *socket) { socket->send(OPEN, uWS::OpCode::TEXT); },
        .message = onMessage,
        .close = onClose,
    });
    state->app.listen("127.0.0.1", 0, [](us_listen_socket_t *listener) {
        int port = listener ? us_socket_local_port(0, reinterpret_cast<us_socket_t *>(listener)) : 0;
        std::fprintf(stderr, R"({"message":"listening","address":"127.0.0.1:%d"})" "\n", port);
    });
    state->app.run();
}
