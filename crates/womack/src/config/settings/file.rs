//! The file: its keys are the flags' names, and its values are read by the flags' parser.

use std::{collections::BTreeMap, fs, path::Path};

use clap::{Args, Command, FromArgMatches};
use merge::Merge;
use toml::{Spanned, Value};

use super::Settings;
use crate::config::{ConfigError, LineError, one_line};

impl Settings {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// [`ConfigError`], in one line that names the file's line: it cannot be read, is not TOML, or
    /// has a key or a value that is no setting's.
    pub(crate) fn from_file(path: &Path) -> Result<Self, ConfigError> {
        let text = fs::read_to_string(path).map_err(|source| ConfigError::Unreadable {
            path: path.to_owned(),
            source,
        })?;
        let mistake = |at: usize, source| ConfigError::Line {
            path: path.to_owned(),
            line: text[..at].matches('\n').count() + 1,
            source,
        };
        let table: BTreeMap<Spanned<String>, Value> = toml::from_str(&text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            let message = error.message().replace('\n', " ");
            mistake(at, LineError::Syntax(message))
        })?;
        let mut command = Self::augment_args(Command::new("file").no_binary_name(true))
            .mut_args(|argument| argument.env(None::<&str>));
        let mut settings = Self::default();
        for (key, value) in table {
            let read = read(&mut command, key.get_ref(), &value);
            settings.merge(read.map_err(|error| mistake(key.span().start, error))?);
        }
        Ok(settings)
    }
}

/// What `key = value` says.
fn read(command: &mut Command, key: &str, value: &Value) -> Result<Settings, LineError> {
    let name = key.replace('_', "-");
    let is_flag = |name| {
        command
            .get_arguments()
            .any(|flag| flag.get_long() == Some(name))
    };
    // A file does not name another one.
    if name == "config" || !is_flag(name.as_str()) {
        return Err(LineError::UnknownKey(key.to_owned()));
    }
    let values = match value {
        Value::Array(values) => values,
        value => &vec![value.clone()],
    };
    let flags: Option<Vec<_>> = values.iter().map(text).collect();
    let flags = flags.ok_or_else(|| LineError::Kind(key.to_owned()))?;
    let flags = flags.iter().map(|text| format!("--{name}={text}"));
    let matches = command.try_get_matches_from_mut(flags);
    matches
        .and_then(|matches| Settings::from_arg_matches(&matches))
        .map_err(|error| LineError::Value(one_line(&error.to_string())))
}

/// A value as it is written after a flag.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Integer(number) => Some(number.to_string()),
        Value::Float(number) => Some(number.to_string()),
        Value::Boolean(yes) => Some(yes.to_string()),
        Value::Datetime(_) | Value::Array(_) | Value::Table(_) => None,
    }
}
