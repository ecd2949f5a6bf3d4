//! Scalars and well-known types out of JSON.

use std::borrow::Cow;

use crate::error::{problem, show, Failure, Kind, Result};
use crate::number::{self, Integer};
use crate::parse::Parser;
use crate::plan::{ty, Enum, Field, Form, Message};
use crate::scan::{number_length, refuse_twice, Names, Token};
use crate::{text, times, wire as w};

impl<'p, 'b> Parser<'p, 'b> {
    /// Append the value of a scalar or an enum; `false` if it is to be left out.
    #[inline(always)]
    pub(crate) fn scalar(&mut self, field: &Field) -> Result<bool> {
        let token = self.scan.token()?;
        match field.ty {
            ty::STRING => match token {
                Token::Text(text) => w::put_bytes(&mut self.out, &text),
                other => return problem(format!("expected a string, got {}", other.show())),
            },
            ty::BOOL => match token {
                Token::True => self.out.push(1),
                Token::False => self.out.push(0),
                other => return problem(format!("expected true or false, got {}", other.show())),
            },
            ty::BYTES => return self.base64(&token).map(|()| true),
            ty::DOUBLE | ty::FLOAT => return self.float(field.ty, &token).map(|()| true),
            ty::ENUM => return self.enumeration(field.sub, &token),
            kind => {
                let value = integer(&token)?;
                number::put(&mut self.out, kind, value)?;
            }
        }
        Ok(true)
    }

    fn base64(&mut self, token: &Token) -> Result<()> {
        let Token::Text(text) = token else {
            return problem(format!("expected base64 text, got {}", token.show()));
        };
        let start = w::begin(&mut self.out);
        if text::from_base64(&mut self.out, text).is_none() {
            return problem(format!("{} is not base64", show(text)));
        }
        w::end(&mut self.out, start);
        Ok(())
    }

    fn float(&mut self, kind: u8, token: &Token) -> Result<()> {
        let text: &[u8] = match token {
            Token::Number(text) => text,
            Token::Text(text) => match &**text {
                b"NaN" => return self.put_float(kind, f64::NAN, f32::NAN),
                b"Infinity" => return self.put_float(kind, f64::INFINITY, f32::INFINITY),
                b"-Infinity" => return self.put_float(kind, f64::NEG_INFINITY, f32::NEG_INFINITY),
                text if number_length(text) == Some(text.len()) => text,
                _ => return problem(format!("expected a number, got {}", token.show())),
            },
            _ => return problem(format!("expected a number, got {}", token.show())),
        };
        let text = std::str::from_utf8(text).unwrap_or("");
        let (double, float) = (text.parse().unwrap_or(f64::NAN), text.parse::<f32>());
        let float = if kind == ty::FLOAT { float.unwrap_or(f32::NAN) } else { 0.0 };
        if !double.is_finite() {
            return problem(format!("{} is out of range", token.show()));
        }
        if !float.is_finite() {
            return problem(format!("{} is out of range of a 32-bit float", token.show()));
        }
        self.put_float(kind, double, float)
    }

    fn put_float(&mut self, kind: u8, double: f64, float: f32) -> Result<()> {
        if kind == ty::FLOAT {
            self.out.extend_from_slice(&float.to_le_bytes());
        } else {
            self.out.extend_from_slice(&double.to_le_bytes());
        }
        Ok(())
    }

    fn enumeration(&mut self, index: u32, token: &Token) -> Result<bool> {
        let plan = self.plan;
        let kind: &Enum = &plan.enums[index as usize];
        let value = match token {
            Token::Text(text) => match kind.numbers.get(&**text) {
                Some(&number) => i128::from(number),
                None if plan.options.ignore_unknown => return Ok(false),
                None => return problem(format!("{} is no value of {}", show(text), kind.name)),
            },
            Token::Null if kind.null => 0,
            token => integer(token)?,
        };
        let known = i32::try_from(value).is_ok_and(|number| kind.known.contains(&number));
        if kind.closed && !known {
            return problem(format!("{} is no value of {}", token.show(), kind.name));
        }
        number::put(&mut self.out, ty::ENUM, value)?;
        Ok(true)
    }

    /// Append a map's key, which JSON always has as text.
    #[inline(always)]
    pub(crate) fn key(&mut self, kind: u8, name: &[u8]) -> Result<()> {
        match kind {
            ty::STRING => w::put_bytes(&mut self.out, name),
            ty::BOOL => match name {
                b"true" => self.out.push(1),
                b"false" => self.out.push(0),
                _ => return problem(format!("expected a key true or false, got {}", show(name))),
            },
            kind => {
                let digits = name.strip_prefix(b"-").unwrap_or(name);
                let plain = digits.iter().all(u8::is_ascii_digit) && digits.len() <= 32;
                let whole = number_length(name) == Some(name.len());
                match number::integer(name) {
                    Integer::Value(value) if plain && whole => {
                        number::put(&mut self.out, kind, value)?;
                    }
                    Integer::TooLarge if plain && whole => {
                        return problem(format!("Value out of range: {}", show(name)));
                    }
                    _ => return problem(format!("expected an integer as key, got {}", show(name))),
                }
            }
        }
        Ok(())
    }

    pub(crate) fn known(
        &mut self,
        form: Form,
        message: &'p Message,
        index: u32,
        depth: u32,
    ) -> Result<()> {
        let as_object = self.plan.options.plain_objects && self.scan.peek()? == b'{';
        match form {
            Form::Struct => self.structure(depth),
            Form::Value => self.value(depth),
            Form::ListValue => self.list_value(depth),
            Form::Any => self.any(message, index, depth),
            Form::Timestamp | Form::Duration if as_object => {
                let start = self.out.len();
                self.object(message, index, depth)?;
                let (seconds, nanos) = w::seconds_and_nanos(&self.out[start..])?;
                if form == Form::Timestamp {
                    times::check_timestamp(seconds, nanos)
                } else {
                    times::check_duration(seconds, nanos)
                }
            }
            _ if as_object => self.object(message, index, depth),
            Form::Wrapper => self.field(&message.fields[0], depth),
            _ => self.text_form(form),
        }
    }

    /// Read a type that is a string in JSON.
    fn text_form(&mut self, form: Form) -> Result<()> {
        let token = self.scan.token()?;
        let Token::Text(text) = token else {
            let wanted = match form {
                Form::Timestamp => "RFC 3339 text",
                Form::Duration => "a duration such as \"3.5s\"",
                _ => "a field mask as text",
            };
            return problem(format!("expected {wanted}, got {}", token.show()));
        };
        if form == Form::FieldMask {
            return self.field_mask(&text);
        }
        let (seconds, nanos) = match form {
            Form::Timestamp => times::timestamp(&text)?,
            _ => times::duration(&text)?,
        };
        for (number, value) in [(1, seconds), (2, nanos)] {
            if value != 0 {
                w::put_tag(&mut self.out, number, w::VARINT);
                w::put_varint(&mut self.out, value as u64);
            }
        }
        Ok(())
    }

    fn field_mask(&mut self, text: &[u8]) -> Result<()> {
        if text.contains(&b'_') {
            return problem(format!("field mask {} must be in lowerCamelCase", show(text)));
        }
        if text.is_empty() {
            return Ok(());
        }
        for path in text.split(|&byte| byte == b',') {
            w::put_tag(&mut self.out, 1, w::BYTES);
            let start = w::begin(&mut self.out);
            text::snake_case(&mut self.out, path);
            w::end(&mut self.out, start);
        }
        Ok(())
    }

    fn structure(&mut self, depth: u32) -> Result<()> {
        self.begin_object()?;
        if self.scan.closes(b'}')? {
            return Ok(());
        }
        let mut names = Names::default();
        loop {
            let name = self.scan.name()?;
            w::put_tag(&mut self.out, 1, w::BYTES);
            let entry = w::begin(&mut self.out);
            w::put_tag(&mut self.out, 1, w::BYTES);
            w::put_bytes(&mut self.out, &name);
            w::put_tag(&mut self.out, 2, w::BYTES);
            let start = w::begin(&mut self.out);
            // An entry is a message of its own on the wire, hence two levels.
            self.value(depth + 2)
                .map_err(|failure| failure.within(String::from_utf8_lossy(&name)))?;
            w::end(&mut self.out, start);
            w::end(&mut self.out, entry);
            names.add(name);
            if !self.scan.more(b'}')? {
                return refuse_twice(&mut names);
            }
        }
    }

    fn list_value(&mut self, depth: u32) -> Result<()> {
        self.begin_array()?;
        if self.scan.closes(b']')? {
            return Ok(());
        }
        let mut index = 0;
        loop {
            w::put_tag(&mut self.out, 1, w::BYTES);
            let start = w::begin(&mut self.out);
            self.value(depth + 1).map_err(|failure| failure.within(format!("[{index}]")))?;
            w::end(&mut self.out, start);
            if !self.scan.more(b']')? {
                return Ok(());
            }
            index += 1;
        }
    }

    fn value(&mut self, depth: u32) -> Result<()> {
        self.check_depth(depth)?;
        match self.scan.token()? {
            Token::Null => self.out.extend_from_slice(&[1 << 3, 0]),
            Token::True => self.out.extend_from_slice(&[4 << 3, 1]),
            Token::False => self.out.extend_from_slice(&[4 << 3, 0]),
            Token::Text(text) => {
                w::put_tag(&mut self.out, 3, w::BYTES);
                w::put_bytes(&mut self.out, &text);
            }
            Token::Number(text) => {
                let number = std::str::from_utf8(text).unwrap_or("").parse().unwrap_or(f64::NAN);
                if !number.is_finite() {
                    let shown = Token::Number(text).show();
                    return problem(format!("{shown} is out of range"));
                }
                w::put_tag(&mut self.out, 2, w::FIXED64);
                self.out.extend_from_slice(&number.to_le_bytes());
            }
            token => {
                let of_members = matches!(token, Token::Object);
                w::put_tag(&mut self.out, if of_members { 5 } else { 6 }, w::BYTES);
                let start = w::begin(&mut self.out);
                if of_members {
                    self.structure(depth + 1)?;
                } else {
                    self.list_value(depth + 1)?;
                }
                w::end(&mut self.out, start);
            }
        }
        Ok(())
    }

    fn any(&mut self, message: &'p Message, index: u32, depth: u32) -> Result<()> {
        self.check_depth(depth)?;
        self.begin_object()?;
        let start = self.scan.at;
        if self.scan.closes(b'}')? {
            return Ok(());
        }
        let Some(url) = self.type_url()? else {
            self.scan.at = start;
            return self.members(message, index, depth, false);
        };
        let name = url.rsplit(|&byte| byte == b'/').next().unwrap_or(&url);
        let name = String::from_utf8_lossy(name);
        let plan = self.plan;
        let Some(&inner) = plan.names.get(&*name) else {
            let text = format!("@type {} is not known here", show(&url));
            return Err(Failure::new(Kind::NeedType, text).about(name));
        };
        w::put_tag(&mut self.out, 1, w::BYTES);
        w::put_bytes(&mut self.out, &url);
        w::put_tag(&mut self.out, 2, w::BYTES);
        let content = w::begin(&mut self.out);
        self.scan.at = start;
        let kind = &plan.messages[inner as usize];
        if matches!(kind.form, Form::Plain | Form::Empty) {
            self.check_depth(depth + 1)?;
            self.members(kind, inner, depth + 1, true)?;
        } else {
            self.any_value(kind, inner, depth + 1)?;
        }
        w::end(&mut self.out, content);
        Ok(())
    }

    /// Look for `@type`, wherever it stands; `None` if the object is one of plain JSON.
    fn type_url(&mut self) -> Result<Option<Cow<'b, [u8]>>> {
        let mut plain = false;
        loop {
            let name = self.scan.name()?;
            if &*name == b"@type" {
                return match self.scan.token()? {
                    Token::Text(url) => Ok(Some(url)),
                    other => problem(format!("@type must be a string, got {}", other.show())),
                };
            }
            plain |= matches!(&*name, b"type_url" | b"typeUrl");
            self.scan.skip(0, false)?;
            if !self.scan.more(b'}')? {
                break;
            }
        }
        if plain && self.plan.options.plain_objects {
            return Ok(None);
        }
        problem("an Any needs a member @type")
    }

    /// Read the value of a type that has a JSON form of its own.
    fn any_value(&mut self, kind: &Message, index: u32, depth: u32) -> Result<()> {
        let mut names = Names::default();
        let mut found = false;
        loop {
            let name = self.scan.name()?;
            if &*name == b"value" && !found {
                found = true;
                self.message(index, depth).map_err(|failure| failure.within("value"))?;
            } else if matches!(&*name, b"@type" | b"value") || self.plan.options.ignore_unknown {
                self.scan.skip(0, true)?;
            } else {
                let kind = &kind.name;
                return problem(format!("an Any of {kind} has no members but @type and value"));
            }
            names.add(name);
            if !self.scan.more(b'}')? {
                break;
            }
        }
        refuse_twice(&mut names)?;
        if found {
            return Ok(());
        }
        problem(format!("an Any of {} needs a member value", kind.name))
    }
}

#[inline(always)]
fn integer(token: &Token) -> Result<i128> {
    let text: &[u8] = match token {
        Token::Number(text) => text,
        Token::Text(text) if number_length(text) == Some(text.len()) => text,
        _ => return problem(format!("expected an integer, got {}", token.show())),
    };
    match number::integer(text) {
        Integer::Value(value) => Ok(value),
        Integer::Fraction => problem(format!("expected an integer, got {}", token.show())),
        Integer::TooLarge => problem(format!("{} is no integer of 64 bits", token.show())),
    }
}
