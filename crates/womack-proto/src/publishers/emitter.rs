//! `@socket.io/redis-emitter` and its ports to PHP, Python, Go, Java and Rust.
//!
//! A broadcast is MessagePack, `["emitter", {"type": 2, "data": ["name", ...], "nsp": "/"},
//! {"rooms": [...], "except": [...], "flags": {...}}]`, published on `<key>#<namespace>#` or, for
//! one room, on `<key>#<namespace>#<room>#`. A request is JSON, `{"type": 2, "opts": {"rooms":
//! [...], "except": [...]}, "rooms": [...]}`, published on `<key>-request#<namespace>#`. Servers
//! with `@socket.io/redis-adapter` send broadcasts of the same form to one another.

use serde::Deserialize;

use super::{
    Action, Emission, Instruction, PublicationError, Selection, from_json,
    msgpack::{Item, Json, Reader, text},
    names::Names,
};

/// Socket.IO's packet types of an event, without and with attachments.
const EVENT_TYPES: [Item<'_>; 2] = [Item::Unsigned(2), Item::Unsigned(5)];

/// Reads a broadcast for `namespace`, which its Redis channel named.
///
/// # Errors
/// Everything but an event for this namespace.
pub fn decode_broadcast(message: &[u8], namespace: &str) -> Result<Instruction, PublicationError> {
    let mut reader = Reader::new(message);
    let Item::Array(length @ 3..) = reader.next()? else {
        return Err(PublicationError::Form);
    };
    // Who sent it.
    reader.skip()?;
    let emission = packet(&mut reader, namespace)?;
    let (rooms, except) = options(&mut reader)?;
    for _ in 3..length {
        reader.skip()?;
    }
    reader.end()?;
    Ok(Instruction {
        clients: Selection {
            namespace: namespace.to_owned(),
            rooms: (!rooms.is_empty()).then_some(rooms),
            except,
        },
        action: Action::Emit(emission),
    })
}

/// Reads a request for `namespace`, which its Redis channel named.
///
/// # Errors
/// [`PublicationError::Unsupported`] for what servers ask one another, and everything that is no
/// request.
pub fn decode_request(message: &[u8], namespace: &str) -> Result<Instruction, PublicationError> {
    #[derive(Deserialize)]
    struct Request {
        r#type: u64,
        opts: Option<Options>,
        #[serde(default)]
        rooms: Names,
        #[serde(default)]
        close: bool,
    }
    #[derive(Deserialize)]
    struct Options {
        #[serde(default)]
        rooms: Names,
        #[serde(default)]
        except: Names,
    }
    // Servers send some of their requests as MessagePack.
    if message.first().is_some_and(|&first| first >= 0x80) {
        return Err(PublicationError::Unsupported);
    }
    let request: Request = from_json(message)?;
    let Some(options) = request.opts else {
        return Err(PublicationError::Unsupported);
    };
    let channels = request.rooms.into_vec();
    let action = match request.r#type {
        2 => Action::Join(channels),
        3 => Action::Leave(channels),
        4 => Action::Disconnect {
            close: request.close,
        },
        _ => return Err(PublicationError::Unsupported),
    };
    let rooms = options.rooms.into_vec();
    Ok(Instruction {
        clients: Selection {
            namespace: namespace.to_owned(),
            rooms: (!rooms.is_empty()).then_some(rooms),
            except: options.except.into_vec(),
        },
        action,
    })
}

fn packet(reader: &mut Reader<'_>, namespace: &str) -> Result<Emission, PublicationError> {
    let Item::Map(length) = reader.next()? else {
        return Err(PublicationError::Form);
    };
    let (mut is_event, mut event) = (false, None);
    let mut is_ours = namespace == "/";
    for _ in 0..length {
        match reader.next()? {
            Item::Text(b"type") => is_event = EVENT_TYPES.contains(&reader.next()?),
            Item::Text(b"nsp") => is_ours = reader.next()? == Item::Text(namespace.as_bytes()),
            Item::Text(b"data") => event = Some(name_and_args(reader)?),
            Item::Text(_) => reader.skip()?,
            _ => return Err(PublicationError::Form),
        }
    }
    match event {
        Some((name, args)) if is_event && is_ours => {
            let (args, attachments) = args.finish();
            Emission::new(name, args, attachments)
        }
        _ => Err(PublicationError::Form),
    }
}

fn name_and_args(reader: &mut Reader<'_>) -> Result<(String, Json), PublicationError> {
    let Item::Array(length @ 1..) = reader.next()? else {
        return Err(PublicationError::Form);
    };
    let name = name(reader)?;
    let mut args = Json::default();
    args.append(reader, length - 1)?;
    Ok((name, args))
}

/// The rooms that are meant, and those that are not. PHP writes an empty map as an empty array.
fn options(reader: &mut Reader<'_>) -> Result<(Vec<String>, Vec<String>), PublicationError> {
    let (mut rooms, mut except) = (Vec::new(), Vec::new());
    match reader.next()? {
        Item::Map(length) => {
            for _ in 0..length {
                match reader.next()? {
                    Item::Text(b"rooms") => rooms = names(reader)?,
                    Item::Text(b"except") => except = names(reader)?,
                    Item::Text(_) => reader.skip()?,
                    _ => return Err(PublicationError::Form),
                }
            }
        }
        Item::Nil | Item::Array(0) => {}
        _ => return Err(PublicationError::Form),
    }
    Ok((rooms, except))
}

/// A list of names. PHP writes one from which something was taken as a map from numbers.
fn names(reader: &mut Reader<'_>) -> Result<Vec<String>, PublicationError> {
    let (length, is_map) = match reader.next()? {
        Item::Nil => (0, false),
        Item::Array(length) => (length, false),
        Item::Map(length) => (length, true),
        _ => return Err(PublicationError::Form),
    };
    let mut names = Vec::new();
    for _ in 0..length {
        if is_map {
            reader.skip()?;
        }
        names.push(name(reader)?);
    }
    Ok(names)
}

fn name(reader: &mut Reader<'_>) -> Result<String, PublicationError> {
    match reader.next()? {
        Item::Text(bytes) => Ok(text(bytes)),
        Item::Unsigned(number) => Ok(number.to_string()),
        Item::Signed(number) => Ok(number.to_string()),
        _ => Err(PublicationError::Form),
    }
}

#[cfg(test)]
mod tests;
