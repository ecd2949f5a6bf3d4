//! JSON text to wire bytes.

use std::borrow::Cow;

use crate::error::{problem, Failure, Kind, Result};
use crate::plan::{ty, Field, Form, Message, Plan};
use crate::scan::{refuse_twice, Names, Scanner, Token};
use crate::wire as w;

pub struct Parser<'p, 'b> {
    pub(crate) plan: &'p Plan,
    pub(crate) scan: Scanner<'b>,
    pub out: Vec<u8>,
    last_word: bool,
}

/// Which members of an object have been there: a bit each, in one word for most types.
struct Seen {
    first: u64,
    rest: Vec<u64>,
}

impl Seen {
    fn new(size: usize) -> Self {
        Seen { first: 0, rest: vec![0; size.saturating_sub(1) / 64] }
    }

    /// Note a number; `false` if it was noted before.
    #[inline(always)]
    fn add(&mut self, number: usize) -> bool {
        let word = match number / 64 {
            0 => &mut self.first,
            at => &mut self.rest[at - 1],
        };
        let bit = 1 << (number % 64);
        let fresh = *word & bit == 0;
        *word |= bit;
        fresh
    }
}

impl<'p, 'b> Parser<'p, 'b> {
    pub fn new(plan: &'p Plan, data: &'b [u8], last_word: bool) -> Self {
        let out = Vec::with_capacity(data.len() + 16);
        Parser { plan, scan: Scanner { data, at: 0 }, out, last_word }
    }

    pub fn document(&mut self, index: u32) -> Result<()> {
        self.message(index, 1)?;
        self.scan.finish()
    }

    pub(crate) fn check_depth(&self, depth: u32) -> Result<()> {
        let most = self.plan.options.max_depth;
        if depth > most {
            return problem(format!("nested deeper than {most} messages"));
        }
        Ok(())
    }

    pub(crate) fn message(&mut self, index: u32, depth: u32) -> Result<()> {
        let plan = self.plan;
        let message = &plan.messages[index as usize];
        match message.form {
            Form::Plain | Form::Empty => self.object(message, index, depth),
            form => self.known(form, message, index, depth),
        }
    }

    pub(crate) fn object(&mut self, message: &'p Message, index: u32, depth: u32) -> Result<()> {
        self.check_depth(depth)?;
        self.begin_object()?;
        self.members(message, index, depth, false)
    }

    pub(crate) fn begin_object(&mut self) -> Result<()> {
        if self.scan.peek()? != b'{' {
            let got = self.scan.token()?.show();
            return problem(format!("expected an object, got {got}"));
        }
        self.scan.at += 1;
        Ok(())
    }

    pub(crate) fn begin_array(&mut self) -> Result<()> {
        if self.scan.peek()? != b'[' {
            let got = self.scan.token()?.show();
            return problem(format!("expected a list, got {got}"));
        }
        self.scan.at += 1;
        Ok(())
    }

    /// Read the members of an object that has begun; of an Any's, `@type` has been read before.
    pub(crate) fn members(
        &mut self,
        message: &'p Message,
        index: u32,
        depth: u32,
        of_any: bool,
    ) -> Result<()> {
        if self.scan.closes(b'}')? {
            return Ok(());
        }
        let start = self.scan.at;
        let mut seen = Seen::new(message.fields.len());
        let mut chosen = Seen::new(message.oneofs.len());
        let mut strangers = Names::default();
        let mut hint = 0;
        loop {
            let name = self.scan.name()?;
            match message.find(&name, hint) {
                Some(slot) => {
                    hint = slot + 1;
                    if !seen.add(slot) {
                        return Err(self.given_twice(start, &name));
                    }
                    self.member(&message.fields[slot], message, &mut chosen, depth)
                        .map_err(|failure| failure.within(String::from_utf8_lossy(&name)))?;
                }
                None => {
                    let passed = of_any
                        && (&*name == b"@type" || message.form == Form::Empty && &*name == b"value");
                    if passed {
                        self.scan.skip(0, true)?;
                    } else {
                        self.stranger(message, index, &name)
                            .map_err(|failure| failure.within(String::from_utf8_lossy(&name)))?;
                    }
                    strangers.add(name);
                }
            }
            if !self.scan.more(b'}')? {
                return refuse_twice(&mut strangers);
            }
        }
    }

    #[inline(always)]
    fn member(
        &mut self,
        field: &'p Field,
        message: &Message,
        chosen: &mut Seen,
        depth: u32,
    ) -> Result<()> {
        if self.scan.peek()? == b'n' && !field.nullable {
            return match self.scan.token()? {
                Token::Null => Ok(()),
                _ => Err(self.scan.syntax("expected a value")),
            };
        }
        if let Ok(oneof) = usize::try_from(field.oneof) {
            if !chosen.add(oneof) {
                let name = &message.oneofs[oneof];
                return problem(format!("another member of oneof {name} is given too"));
            }
        }
        self.field(field, depth)
    }

    /// Say how a field came to be given twice, which takes a second look at the object.
    #[cold]
    fn given_twice(&mut self, start: usize, name: &[u8]) -> Box<Failure> {
        let mut scan = Scanner { data: self.scan.data, at: start };
        let stop = self.scan.at;
        let mut same = 0;
        while let Ok(found) = scan.name() {
            same += u32::from(*found == *name);
            if scan.at >= stop || scan.skip(0, false).is_err() || !scan.more(b'}').unwrap_or(false)
            {
                break;
            }
        }
        let text = if same > 1 { "given twice" } else { "given twice, under two spellings" };
        Failure::new(Kind::Problem, text).within(String::from_utf8_lossy(name))
    }

    #[inline(never)]
    fn stranger(&mut self, message: &Message, index: u32, name: &[u8]) -> Result<()> {
        let bracketed = name.starts_with(b"[") && name.ends_with(b"]");
        if message.extendable && bracketed && !self.last_word {
            let failure = Failure::new(Kind::NeedExtensions, "extensions are not known");
            return Err(failure.about(index.to_string()));
        }
        if !self.plan.options.ignore_unknown {
            return problem(format!("{} has no such field", message.name));
        }
        self.scan.skip(0, true)
    }

    pub(crate) fn field(&mut self, field: &'p Field, depth: u32) -> Result<()> {
        if field.map {
            return self.map(field, depth);
        }
        if field.repeated {
            return self.list(field, depth);
        }
        if matches!(field.ty, ty::MESSAGE | ty::GROUP) {
            return self.sub_message(field, depth);
        }
        let mark = self.out.len();
        self.out.extend_from_slice(&field.tag);
        if !self.scalar(field)? {
            self.out.truncate(mark);
        }
        Ok(())
    }

    fn sub_message(&mut self, field: &Field, depth: u32) -> Result<()> {
        if self.plan.messages[field.sub as usize].form == Form::Plain {
            self.check_depth(depth + 1)?;
        }
        self.out.extend_from_slice(&field.tag);
        if field.ty == ty::GROUP {
            self.message(field.sub, depth + 1)?;
            self.out.extend_from_slice(&field.end_tag);
            return Ok(());
        }
        let start = w::begin(&mut self.out);
        self.message(field.sub, depth + 1)?;
        w::end(&mut self.out, start);
        self.out.extend_from_slice(&field.end_tag);
        Ok(())
    }

    fn list(&mut self, field: &'p Field, depth: u32) -> Result<()> {
        self.begin_array()?;
        if self.scan.closes(b']')? {
            return Ok(());
        }
        let of_messages = matches!(field.ty, ty::MESSAGE | ty::GROUP);
        // Parsers of the wire format take packed lists wherever they take lists of numbers.
        let packed = !of_messages && w::type_of(field.ty) != w::BYTES;
        let mut start = 0;
        if packed {
            self.out.extend_from_slice(&field.packed_tag);
            start = w::begin(&mut self.out);
        }
        let mut index = 0;
        loop {
            let element = if of_messages {
                self.sub_message(field, depth)
            } else {
                self.list_scalar(field, packed)
            };
            element.map_err(|failure| failure.within(format!("[{index}]")))?;
            if !self.scan.more(b']')? {
                break;
            }
            index += 1;
        }
        if packed {
            w::end(&mut self.out, start);
        }
        Ok(())
    }

    #[inline(always)]
    fn list_scalar(&mut self, field: &Field, packed: bool) -> Result<()> {
        let mark = self.out.len();
        if !packed {
            self.out.extend_from_slice(&field.tag);
        }
        if !self.scalar(field)? {
            self.out.truncate(mark);
        }
        Ok(())
    }

    fn map(&mut self, field: &Field, depth: u32) -> Result<()> {
        let plan = self.plan;
        let [keys, values] = &plan.messages[field.sub as usize].fields[..] else {
            return problem("a map has no key or no value");
        };
        self.begin_object()?;
        if self.scan.closes(b'}')? {
            return Ok(());
        }
        let mut names = Names::default();
        loop {
            let name = self.scan.name()?;
            self.entry(field, (keys, values), &name, depth)
                .map_err(|failure| failure.within(part_of_map(&name)))?;
            names.add(name);
            if !self.scan.more(b'}')? {
                break;
            }
        }
        match names.twice() {
            None => Ok(()),
            Some(name) => {
                Err(Failure::new(Kind::Problem, "given twice").within(part_of_map(name)))
            }
        }
    }

    #[inline(always)]
    fn entry(
        &mut self,
        field: &Field,
        (keys, values): (&'p Field, &'p Field),
        name: &Cow<'b, [u8]>,
        depth: u32,
    ) -> Result<()> {
        let mark = self.out.len();
        self.out.extend_from_slice(&field.tag);
        let start = w::begin(&mut self.out);
        self.out.extend_from_slice(&keys.tag);
        self.key(keys.ty, name)?;
        if values.ty == ty::MESSAGE {
            // An entry is a message of its own on the wire, hence two levels.
            self.sub_message(values, depth + 1)?;
        } else {
            self.out.extend_from_slice(&values.tag);
            if !self.scalar(values)? {
                self.out.truncate(mark);
                return Ok(());
            }
        }
        w::end(&mut self.out, start);
        Ok(())
    }
}

fn part_of_map(name: &[u8]) -> String {
    format!("[{}]", crate::error::show(name))
}
