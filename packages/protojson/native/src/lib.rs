//! Protobuf JSON by way of wire bytes, driven by a plan that Python makes from descriptors.

mod error;
mod number;
mod parse;
mod parse_known;
mod plan;
mod print;
mod print_known;
mod scan;
mod text;
mod times;
mod wire;

use std::sync::{Arc, PoisonError, RwLock};

use pyo3::create_exception;
use pyo3::exceptions::{PyIndexError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

use error::{Failure, Kind};
use plan::{ty, Enum, Field, Message, Options, Plan};

create_exception!(kratos_protojson_native, Fault, PyValueError);

/// Inputs of this size and more are worked on without the interpreter's lock.
const LARGE: usize = 32 * 1024;

/// What Python says about one field.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
struct Described {
    number: u32,
    name: String,
    json_name: String,
    key: String,
    unset: Option<String>,
    ty: u8,
    repeated: bool,
    map: bool,
    presence: bool,
    nullable: bool,
    oneof: i32,
    sub: u32,
}

/// A plan for printing or parsing under one set of options; grows as types are met.
#[pyclass(frozen, module = "kratos_protojson_native")]
struct Codec {
    plan: RwLock<Arc<Plan>>,
}

impl Codec {
    fn plan(&self) -> Arc<Plan> {
        Arc::clone(&self.plan.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn change<T>(&self, change: impl FnOnce(&mut Plan) -> T) -> T {
        let mut plan = self.plan.write().unwrap_or_else(PoisonError::into_inner);
        change(Arc::make_mut(&mut plan))
    }
}

#[pymethods]
impl Codec {
    #[new]
    #[pyo3(signature = (*, enum_numbers=false, int64_numbers=false, ignore_unknown=true,
        plain_objects=false, max_depth=100))]
    fn new(
        enum_numbers: bool,
        int64_numbers: bool,
        ignore_unknown: bool,
        plain_objects: bool,
        max_depth: u32,
    ) -> PyResult<Self> {
        if max_depth > 100 {
            return Err(PyValueError::new_err("max_depth is at most 100"));
        }
        let options = Options {
            enum_numbers,
            int64_numbers,
            ignore_unknown,
            plain_objects,
            max_depth,
        };
        let plan = Plan { options, ..Plan::default() };
        Ok(Codec { plan: RwLock::new(Arc::new(plan)) })
    }

    /// Add an enum; returns its index.
    fn add_enum(
        &self,
        name: String,
        shown: Vec<(i32, String)>,
        numbers: Vec<(String, i32)>,
        closed: bool,
        null: bool,
    ) -> usize {
        let mut found = Enum { name, closed, null, ..Enum::default() };
        for (number, name) in shown {
            found.shown.insert(number, quoted(&name).into());
        }
        for (name, number) in numbers {
            found.known.insert(number);
            found.numbers.insert(name.into_bytes().into(), number);
        }
        self.change(|plan| {
            plan.enums.push(found);
            plan.enums.len() - 1
        })
    }

    /// Add a message type without fields, so that others may refer to it; returns its index.
    fn declare(&self, name: String) -> usize {
        self.change(|plan| {
            plan.messages.push(Message::new(name));
            plan.messages.len() - 1
        })
    }

    /// Set the fields of a message type, and let an Any hold it.
    #[pyo3(signature = (index, fields, *, oneofs, extendable, message_set))]
    fn define(
        &self,
        index: usize,
        fields: Vec<Described>,
        oneofs: Vec<String>,
        extendable: bool,
        message_set: bool,
    ) -> PyResult<()> {
        let fields: Vec<Field> =
            fields.into_iter().map(|field| described(field, message_set)).collect();
        self.change(|plan| {
            let message = plan.messages.get_mut(index).ok_or_else(no_such_type)?;
            message.oneofs = oneofs;
            message.extendable = extendable;
            message.message_set = message_set;
            message.set_fields(fields);
            let name = message.name.clone();
            plan.names.insert(name, index as u32);
            Ok(())
        })
    }

    /// Return the JSON of a message's wire bytes.
    fn print<'py>(
        &self,
        py: Python<'py>,
        index: u32,
        wire: &[u8],
        last_word: bool,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let plan = self.plan();
        checked(&plan, index)?;
        let work = || {
            let mut printer = print::Printer::new(&plan, wire.len(), last_word);
            printer.message(index, wire, 1).map(|()| printer.out)
        };
        let done = if wire.len() < LARGE { work() } else { py.detach(work) };
        done.map(|out| PyBytes::new(py, &out)).map_err(fault)
    }

    /// Return the wire bytes of a message's JSON, which is bytes or text.
    fn parse<'py>(
        &self,
        py: Python<'py>,
        index: u32,
        json: &Bound<'py, PyAny>,
        last_word: bool,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let plan = self.plan();
        checked(&plan, index)?;
        let data = if let Ok(bytes) = json.cast::<PyBytes>() {
            let data = bytes.as_bytes();
            if let Err(place) = simdutf8::compat::from_utf8(data) {
                let text = format!("byte {} is not UTF-8", place.valid_up_to());
                return Err(fault(Failure::new(Kind::Problem, text)));
            }
            data
        } else if let Ok(text) = json.cast::<PyString>() {
            text.to_str()?.as_bytes()
        } else {
            return Err(PyTypeError::new_err("JSON is bytes or str"));
        };
        let work = || {
            let mut parser = parse::Parser::new(&plan, data, last_word);
            parser.document(index).map(|()| parser.out)
        };
        let done = if data.len() < LARGE { work() } else { py.detach(work) };
        done.map(|out| PyBytes::new(py, &out)).map_err(fault)
    }
}

fn checked(plan: &Plan, index: u32) -> PyResult<()> {
    plan.messages.get(index as usize).map(drop).ok_or_else(no_such_type)
}

fn no_such_type() -> PyErr {
    PyIndexError::new_err("there is no message type of that index")
}

fn quoted(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    // Text of Python is text: nothing can be wrong with it.
    let _ = text::string(&mut out, text.as_bytes());
    out
}

fn described(field: Described, in_set: bool) -> Field {
    let mut key = quoted(&field.key);
    key.push(b':');
    let unset = field.unset.map(|text| [&key[..], text.as_bytes()].concat().into());
    let tag = |kind| {
        let mut out = Vec::new();
        wire::put_tag(&mut out, field.number, kind);
        out.into_boxed_slice()
    };
    let kind = if field.map { wire::BYTES } else { wire::type_of(field.ty) };
    let (first, last) = match field.ty {
        _ if in_set => item_of_set(field.number),
        ty::GROUP => (tag(kind), tag(wire::END)),
        _ => (tag(kind), Box::default()),
    };
    Field {
        number: field.number,
        name: field.name.into_bytes().into(),
        json_name: field.json_name.into_bytes().into(),
        key: key.into(),
        label: field.key,
        unset,
        ty: field.ty,
        repeated: field.repeated,
        map: field.map,
        presence: field.presence,
        nullable: field.nullable,
        oneof: field.oneof,
        sub: field.sub,
        tag: first,
        packed_tag: tag(wire::BYTES),
        end_tag: last,
    }
}

/// What stands before and behind a message in a MessageSet: a group, with the type's number.
fn item_of_set(number: u32) -> (Box<[u8]>, Box<[u8]>) {
    let (mut first, mut last) = (Vec::new(), Vec::new());
    wire::put_tag(&mut first, 1, wire::GROUP);
    wire::put_tag(&mut first, 2, wire::VARINT);
    wire::put_varint(&mut first, u64::from(number));
    wire::put_tag(&mut first, 3, wire::BYTES);
    wire::put_tag(&mut last, 1, wire::END);
    (first.into(), last.into())
}

#[cold]
fn fault(failure: Box<Failure>) -> PyErr {
    let kind = match failure.kind {
        Kind::Problem | Kind::Wire => "",
        Kind::NeedType => "type",
        Kind::NeedExtensions => "extensions",
    };
    Fault::new_err((kind, failure.subject, failure.problem, failure.path))
}

#[pymodule]
fn kratos_protojson_native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Codec>()?;
    module.add("Fault", module.py().get_type::<Fault>())?;
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    // Types of fields that hold messages, for who checks a plan.
    module.add("MESSAGE_TYPES", vec![ty::GROUP, ty::MESSAGE])
}
