//! The capabilities of a terminal.

use std::env;
use std::io::{self, IsTerminal};

use anstyle::{AnsiColor, Effects};

use crate::format;

/// The width for a file or a pipe: enough for all columns except the least important, and narrow enough
/// for a mail or a log.
const FILE_WIDTH: usize = 110;

/// The least width of a table; a terminal that reports less is not believed.
const LEAST_WIDTH: usize = 40;

/// Units, which stay on the same line as their number.
const UNITS: [&str; 5] = ["%", "ns", "µs", "us", "ms"];

/// The capabilities of the reader's terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// Columns.
    pub width: usize,
    /// Whether colors and bold type may be used.
    pub color: bool,
    /// Whether characters outside of ASCII may be used.
    pub unicode: bool,
}

impl Default for Style {
    /// For a file: no colors, ASCII, a fixed width.
    fn default() -> Self {
        Self { width: FILE_WIDTH, color: false, unicode: false }
    }
}

impl Style {
    /// For the standard output: the terminal's width, no colors if `NO_COLOR` is set or the output is not
    /// a terminal, ASCII if the locale is not UTF-8.
    pub fn of_stdout() -> Self {
        let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty());
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(set);
        let unicode = locale.is_some_and(|locale| {
            let locale = locale.to_string_lossy().to_ascii_lowercase();
            locale.contains("utf-8") || locale.contains("utf8")
        });
        if !io::stdout().is_terminal() {
            return Self { unicode, ..Self::default() };
        }
        let dumb = set("TERM").is_none_or(|term| term == "dumb");
        let width = terminal_size::terminal_size().map(|(width, _)| usize::from(width.0));
        Self {
            width: width.filter(|width| *width >= LEAST_WIDTH).unwrap_or(FILE_WIDTH),
            color: !dumb && set("NO_COLOR").is_none(),
            unicode,
        }
    }

    /// The text in the characters of this terminal.
    pub fn text(self, text: &str) -> String {
        if self.unicode { text.to_owned() } else { format::ascii(text) }
    }

    /// The text in the color of its tone.
    pub fn paint(self, text: &str, tone: Tone) -> String {
        let style = tone.style();
        if self.color && !text.is_empty() {
            format!("{style}{text}{style:#}")
        } else {
            text.to_owned()
        }
    }

    /// Wrapped to the width: `first` before the first line, `indent` before the later ones.
    pub fn wrap(self, text: &str, first: &str, indent: &str) -> String {
        let mut tied = self.text(text);
        for unit in UNITS {
            tied = tied.replace(&format!(" {unit}"), &format!("\u{a0}{unit}"));
        }
        let options = textwrap::Options::new(self.width)
            .initial_indent(first)
            .subsequent_indent(indent)
            // Names of lanes and workloads are not hyphenated.
            .word_splitter(textwrap::WordSplitter::NoHyphenation);
        textwrap::fill(&tied, options).replace('\u{a0}', " ")
    }
}

/// The meaning of a text, which determines its color.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// Ordinary text.
    Plain,
    /// A heading or a name.
    Strong,
    /// Less important text.
    Faint,
    /// Better, or correct.
    Good,
    /// Worse, or wrong.
    Bad,
    /// Unknown, or a warning.
    Unsure,
}

impl Tone {
    fn style(self) -> anstyle::Style {
        let style = anstyle::Style::new();
        match self {
            Self::Plain => style,
            Self::Strong => style.effects(Effects::BOLD),
            Self::Faint => style.effects(Effects::DIMMED),
            Self::Good => style.fg_color(Some(AnsiColor::Green.into())),
            Self::Bad => style.fg_color(Some(AnsiColor::Red.into())),
            Self::Unsure => style.fg_color(Some(AnsiColor::Yellow.into())),
        }
    }

    pub(crate) fn color(self) -> Option<comfy_table::Color> {
        match self {
            Self::Good => Some(comfy_table::Color::DarkGreen),
            Self::Bad => Some(comfy_table::Color::DarkRed),
            Self::Unsure => Some(comfy_table::Color::DarkYellow),
            Self::Plain | Self::Strong | Self::Faint => None,
        }
    }

    pub(crate) fn attribute(self) -> Option<comfy_table::Attribute> {
        match self {
            Self::Strong => Some(comfy_table::Attribute::Bold),
            Self::Faint => Some(comfy_table::Attribute::Dim),
            Self::Plain | Self::Good | Self::Bad | Self::Unsure => None,
        }
    }
}
