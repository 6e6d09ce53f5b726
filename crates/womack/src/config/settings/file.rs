//! The file: its keys are the flags' names, and its values are read by the flags' parser.

use std::{collections::BTreeMap, fs, path::Path};

use clap::{Args, Command, FromArgMatches};
use merge::Merge;
use toml::{Spanned, Value};

use super::Settings;
use crate::error::Error;

impl Settings {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// [`Error::Config`], in one line that names the file's line: it cannot be read, is not TOML,
    /// or has a key or a value that is no setting's.
    pub(crate) fn from_file(path: &Path) -> Result<Self, Error> {
        let text = fs::read_to_string(path)
            .map_err(|error| Error::Config(format!("{}: {error}", path.display())))?;
        let mistake = |at: usize, message: &str| {
            let line = text[..at].matches('\n').count() + 1;
            let message = message.replace('\n', " ");
            Error::Config(format!("{}:{line}: {message}", path.display()))
        };
        let table: BTreeMap<Spanned<String>, Value> = toml::from_str(&text)
            .map_err(|error| mistake(error.span().map_or(0, |span| span.start), error.message()))?;
        let mut command = Self::augment_args(Command::new("file").no_binary_name(true))
            .mut_args(|argument| argument.env(None::<&str>));
        let mut settings = Self::default();
        for (key, value) in table {
            let read = read(&mut command, key.get_ref(), &value);
            settings.merge(read.map_err(|message| mistake(key.span().start, &message))?);
        }
        Ok(settings)
    }
}

/// What `key = value` says.
fn read(command: &mut Command, key: &str, value: &Value) -> Result<Settings, String> {
    let name = key.replace('_', "-");
    let is_flag = |name| {
        command
            .get_arguments()
            .any(|flag| flag.get_long() == Some(name))
    };
    // A file does not name another one.
    if name == "config" || !is_flag(name.as_str()) {
        return Err(format!("unknown key `{key}`"));
    }
    let values = match value {
        Value::Array(values) => values,
        value => &vec![value.clone()],
    };
    let flags: Option<Vec<_>> = values.iter().map(text).collect();
    let flags = flags.ok_or_else(|| format!("`{key}` has a value of another kind"))?;
    let flags = flags.iter().map(|text| format!("--{name}={text}"));
    let matches = command.try_get_matches_from_mut(flags);
    matches
        .and_then(|matches| Settings::from_arg_matches(&matches))
        .map_err(|error| Error::one_line(&error.to_string()))
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
