//! Failures, and the path to their place, which is collected on the way up.

pub type Result<T> = std::result::Result<T, Box<Failure>>;

/// What kind of failure it is decides what Python does about it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The message or the JSON is at fault.
    Problem,
    /// Bytes are no message; an Any that holds them says so in its own words.
    Wire,
    /// The type named by `subject` is not in the plan; with it, the call may be made again.
    NeedType,
    /// The message type number `subject` may have extensions that are not in the plan.
    NeedExtensions,
}

pub struct Failure {
    pub kind: Kind,
    pub subject: String,
    pub problem: String,
    /// From the innermost place outwards.
    pub path: Vec<String>,
    /// Whether the place is told in the problem itself, as line and column.
    pub pathless: bool,
}

impl Failure {
    #[cold]
    pub fn new(kind: Kind, problem: impl Into<String>) -> Box<Self> {
        Box::new(Failure {
            kind,
            subject: String::new(),
            problem: problem.into(),
            path: Vec::new(),
            pathless: false,
        })
    }

    #[cold]
    pub fn within(mut self: Box<Self>, part: impl Into<String>) -> Box<Self> {
        if !self.pathless {
            self.path.push(part.into());
        }
        self
    }

    pub fn about(mut self: Box<Self>, subject: impl Into<String>) -> Box<Self> {
        self.subject = subject.into();
        self
    }
}

#[cold]
pub fn problem<T>(text: impl Into<String>) -> Result<T> {
    Err(Failure::new(Kind::Problem, text))
}

#[cold]
pub fn wire<T>(text: &str) -> Result<T> {
    Err(Failure::new(Kind::Wire, text))
}

/// Text as an error quotes it: cut short, because input is unlimited.
pub fn show(text: &[u8]) -> String {
    const LONGEST: usize = 64;
    let text = String::from_utf8_lossy(text);
    match text.char_indices().nth(LONGEST) {
        None => format!("\"{text}\""),
        Some((end, _)) => format!("\"{}\"...", &text[..end]),
    }
}
