//! JSON text, token by token, as strict as the standard.

use std::borrow::Cow;

use crate::error::{show, Failure, Kind, Result};

/// Levels of arrays and objects in what is skipped.
const MAX_SKIPPED: u32 = 500;
/// More names than this are sorted to find a double one; fewer are compared with each other.
const FEW: usize = 12;

pub struct Scanner<'b> {
    pub data: &'b [u8],
    pub at: usize,
}

/// A scalar, or the beginning of what is none.
pub enum Token<'b> {
    Text(Cow<'b, [u8]>),
    Number(&'b [u8]),
    True,
    False,
    Null,
    Object,
    Array,
}

impl Token<'_> {
    /// The value as an error quotes it.
    pub fn show(&self) -> String {
        match self {
            Token::Text(text) => show(text),
            Token::Number(text) if text.len() > 64 => {
                format!("a number of {} characters", text.len())
            }
            Token::Number(text) => String::from_utf8_lossy(text).into_owned(),
            Token::True => "true".into(),
            Token::False => "false".into(),
            Token::Null => "null".into(),
            Token::Object => "an object".into(),
            Token::Array => "a list".into(),
        }
    }
}

/// Names of an object's members, to find one that is given twice.
#[derive(Default)]
pub struct Names<'b>(Vec<Cow<'b, [u8]>>);

impl<'b> Names<'b> {
    #[inline]
    pub fn add(&mut self, name: Cow<'b, [u8]>) {
        self.0.push(name);
    }

    /// A name that is there twice.
    pub fn twice(&mut self) -> Option<&[u8]> {
        let names = &mut self.0;
        if names.len() <= FEW {
            let at = (1..names.len()).find(|&at| names[..at].contains(&names[at]))?;
            return Some(&names[at]);
        }
        // Sorted rather than hashed: whoever sends the names cannot make that slow.
        names.sort_unstable();
        let at = names.windows(2).position(|pair| pair[0] == pair[1])?;
        Some(&names[at])
    }
}

impl<'b> Scanner<'b> {
    #[cold]
    pub fn syntax(&self, text: &str) -> Box<Failure> {
        let before = &self.data[..self.at.min(self.data.len())];
        let line = before.iter().filter(|&&byte| byte == b'\n').count() + 1;
        let start = before.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        let column = String::from_utf8_lossy(&before[start..]).chars().count() + 1;
        let mut failure =
            Failure::new(Kind::Problem, format!("line {line}, column {column}: {text}"));
        failure.pathless = true;
        failure
    }

    /// The next byte that is no white space.
    #[inline(always)]
    pub fn peek(&mut self) -> Result<u8> {
        loop {
            match self.data.get(self.at) {
                Some(b' ' | b'\t' | b'\n' | b'\r') => self.at += 1,
                Some(&byte) => return Ok(byte),
                None => return Err(self.syntax("the text ends too early")),
            }
        }
    }

    #[inline(always)]
    pub fn expect(&mut self, byte: u8) -> Result<()> {
        if self.peek()? == byte {
            self.at += 1;
            return Ok(());
        }
        Err(self.syntax(&format!("expected {:?}", char::from(byte))))
    }

    /// Whether another element or member follows; what ends them is consumed.
    #[inline(always)]
    pub fn more(&mut self, end: u8) -> Result<bool> {
        let byte = self.peek()?;
        if byte != b',' && byte != end {
            return Err(self.syntax(&format!("expected \",\" or {:?}", char::from(end))));
        }
        self.at += 1;
        Ok(byte == b',')
    }

    /// Whether an object or array that has begun is empty; its end is consumed then.
    #[inline(always)]
    pub fn closes(&mut self, end: u8) -> Result<bool> {
        let closed = self.peek()? == end;
        self.at += usize::from(closed);
        Ok(closed)
    }

    /// The name of a member, and the colon behind it.
    #[inline(always)]
    pub fn name(&mut self) -> Result<Cow<'b, [u8]>> {
        if self.peek()? != b'"' {
            return Err(self.syntax("expected a member's name in double quotes"));
        }
        let name = self.string()?;
        self.expect(b':')?;
        Ok(name)
    }

    /// A string whose opening quote is next.
    #[inline(always)]
    pub fn string(&mut self) -> Result<Cow<'b, [u8]>> {
        self.at += 1;
        let start = self.at;
        loop {
            match self.data.get(self.at) {
                Some(b'"') => {
                    let text = &self.data[start..self.at];
                    self.at += 1;
                    return Ok(Cow::Borrowed(text));
                }
                Some(b'\\') => return self.escaped(start),
                Some(byte) if *byte >= 0x20 => self.at += 1,
                Some(_) => return Err(self.syntax("a control character must be escaped")),
                None => return Err(self.syntax("the string does not end")),
            }
        }
    }

    #[inline(never)]
    fn escaped(&mut self, start: usize) -> Result<Cow<'b, [u8]>> {
        let mut text = self.data[start..self.at].to_vec();
        loop {
            let plain = self.at;
            while matches!(self.data.get(self.at), Some(&b) if b >= 0x20 && b != b'"' && b != b'\\')
            {
                self.at += 1;
            }
            text.extend_from_slice(&self.data[plain..self.at]);
            match self.data.get(self.at) {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(Cow::Owned(text));
                }
                Some(b'\\') => self.escape(&mut text)?,
                Some(_) => return Err(self.syntax("a control character must be escaped")),
                None => return Err(self.syntax("the string does not end")),
            }
        }
    }

    fn escape(&mut self, text: &mut Vec<u8>) -> Result<()> {
        let byte = match self.data.get(self.at + 1) {
            Some(b'u') => return self.unicode_escape(text),
            Some(byte @ (b'"' | b'\\' | b'/')) => *byte,
            Some(b'b') => 0x08,
            Some(b'f') => 0x0c,
            Some(b'n') => b'\n',
            Some(b'r') => b'\r',
            Some(b't') => b'\t',
            _ => return Err(self.syntax("there is no such escape")),
        };
        self.at += 2;
        text.push(byte);
        Ok(())
    }

    fn unicode_escape(&mut self, text: &mut Vec<u8>) -> Result<()> {
        let mut code = self.unit()?;
        if (0xd800..0xdc00).contains(&code) && self.data[self.at..].starts_with(b"\\u") {
            let low = self.unit()?;
            if (0xdc00..0xe000).contains(&low) {
                code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
            }
        }
        let Some(found) = char::from_u32(code) else {
            let text = "the text holds one half of a surrogate pair without the other";
            return Err(Failure::new(Kind::Problem, text));
        };
        text.extend_from_slice(found.encode_utf8(&mut [0; 4]).as_bytes());
        Ok(())
    }

    /// The code of `\uXXXX`.
    fn unit(&mut self) -> Result<u32> {
        let digits = self.data.get(self.at + 2..self.at + 6).unwrap_or(b"");
        let mut code = 0;
        for &byte in digits {
            match char::from(byte).to_digit(16) {
                Some(digit) => code = code << 4 | digit,
                None => return Err(self.syntax("\\u needs four hexadecimal digits")),
            }
        }
        if digits.is_empty() {
            return Err(self.syntax("\\u needs four hexadecimal digits"));
        }
        self.at += 6;
        Ok(code)
    }

    #[inline(always)]
    pub fn number(&mut self) -> Result<&'b [u8]> {
        match number_length(&self.data[self.at..]) {
            Some(length) => {
                let text = &self.data[self.at..self.at + length];
                self.at += length;
                Ok(text)
            }
            None => Err(self.syntax("expected a value")),
        }
    }

    fn word(&mut self, word: &[u8]) -> Result<()> {
        if !self.data[self.at..].starts_with(word) {
            return Err(self.syntax("expected a value"));
        }
        self.at += word.len();
        Ok(())
    }

    /// Read a scalar; of an object or array only tell that there is one.
    #[inline(always)]
    pub fn token(&mut self) -> Result<Token<'b>> {
        Ok(match self.peek()? {
            b'"' => Token::Text(self.string()?),
            b'{' => Token::Object,
            b'[' => Token::Array,
            b't' => {
                self.word(b"true")?;
                Token::True
            }
            b'f' => {
                self.word(b"false")?;
                Token::False
            }
            b'n' => {
                self.word(b"null")?;
                Token::Null
            }
            _ => Token::Number(self.number()?),
        })
    }

    /// Pass over a value of any kind; `strictly` refuses members given twice in it.
    pub fn skip(&mut self, depth: u32, strictly: bool) -> Result<()> {
        if depth > MAX_SKIPPED {
            return Err(self.syntax("the JSON is nested too deeply"));
        }
        match self.token()? {
            Token::Object => self.skip_object(depth, strictly),
            Token::Array => {
                self.at += 1;
                if self.closes(b']')? {
                    return Ok(());
                }
                let mut index = 0;
                loop {
                    self.skip(depth + 1, strictly)
                        .map_err(|failure| failure.within(format!("[{index}]")))?;
                    if !self.more(b']')? {
                        return Ok(());
                    }
                    index += 1;
                }
            }
            _ => Ok(()),
        }
    }

    fn skip_object(&mut self, depth: u32, strictly: bool) -> Result<()> {
        self.at += 1;
        if self.closes(b'}')? {
            return Ok(());
        }
        let mut names = Names::default();
        loop {
            let name = self.name()?;
            self.skip(depth + 1, strictly)
                .map_err(|failure| failure.within(String::from_utf8_lossy(&name)))?;
            if strictly {
                names.add(name);
            }
            if !self.more(b'}')? {
                return refuse_twice(&mut names);
            }
        }
    }

    /// Nothing but white space may be left.
    pub fn finish(&mut self) -> Result<()> {
        while matches!(self.data.get(self.at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
        if self.at == self.data.len() {
            return Ok(());
        }
        Err(self.syntax("there is something behind the value"))
    }
}

pub fn refuse_twice(names: &mut Names) -> Result<()> {
    match names.twice() {
        None => Ok(()),
        Some(name) => {
            let failure = Failure::new(Kind::Problem, "given twice");
            Err(failure.within(String::from_utf8_lossy(name)))
        }
    }
}

/// How many bytes at the beginning are a JSON number.
#[inline(always)]
pub fn number_length(text: &[u8]) -> Option<usize> {
    let mut at = usize::from(text.first() == Some(&b'-'));
    match text.get(at)? {
        b'0' => at += 1,
        b'1'..=b'9' => at = digits_end(text, at),
        _ => return None,
    }
    if text.get(at) == Some(&b'.') {
        let end = digits_end(text, at + 1);
        if end == at + 1 {
            return None;
        }
        at = end;
    }
    if let Some(b'e' | b'E') = text.get(at) {
        let start = at + 1 + usize::from(matches!(text.get(at + 1), Some(b'+' | b'-')));
        let end = digits_end(text, start);
        if end == start {
            return None;
        }
        at = end;
    }
    Some(at)
}

#[inline(always)]
fn digits_end(text: &[u8], mut at: usize) -> usize {
    while matches!(text.get(at), Some(b'0'..=b'9')) {
        at += 1;
    }
    at
}
