//! values: arguments and results as they are written on the command line.

use millstream::rpc::onc::xdr::{Decoder, Encoder, Fault};

/// What an argument or a result is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    Int,
    Uint,
    Hyper,
    Uhyper,
    Float,
    Double,
    Bool,
    String,
    Opaque,
    /// Octets of XDR as they are; all that are left.
    Hex,
}

/// An argument.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Int(i32),
    Uint(u32),
    Hyper(i64),
    Uhyper(u64),
    Float(f32),
    Double(f64),
    Bool(bool),
    String(String),
    Opaque(Vec<u8>),
    Hex(Vec<u8>),
}

impl Type {
    /// By its name.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let known = NAMES.iter().find(|(name, _)| *name == text);
        known.map(|(_, ty)| *ty).ok_or_else(|| {
            let names: Vec<&str> = NAMES.iter().map(|(name, _)| *name).collect();
            format!("no type {text}: there are {}", names.join(", "))
        })
    }

    /// Reads a result, for people.
    pub(super) fn read(self, from: &mut Decoder<'_>) -> Result<String, Fault> {
        Ok(match self {
            Self::Int => from.i32()?.to_string(),
            Self::Uint => from.u32()?.to_string(),
            Self::Hyper => from.i64()?.to_string(),
            Self::Uhyper => from.u64()?.to_string(),
            Self::Float => from.f32()?.to_string(),
            Self::Double => from.f64()?.to_string(),
            Self::Bool => from.bool()?.to_string(),
            Self::String => from.text(usize::MAX)?.to_string(),
            Self::Opaque => hex(&from.opaque(usize::MAX)?.to_vec()),
            Self::Hex => {
                let left = from.remaining();
                hex(&from.opaque_exact(left)?.to_vec())
            }
        })
    }
}

impl Value {
    /// Reads `TYPE:VALUE`; without a type it is an int.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (ty, value) = match text.split_once(':') {
            Some((ty, value)) => (Type::parse(ty)?, value),
            None => (Type::Int, text),
        };
        fn as_number<T: std::str::FromStr>(value: &str, what: &str) -> Result<T, String> {
            value.parse().map_err(|_| format!("{value} is no {what}"))
        }
        Ok(match ty {
            Type::Int => Self::Int(as_number(value, "int")?),
            Type::Uint => Self::Uint(as_number(value, "uint")?),
            Type::Hyper => Self::Hyper(as_number(value, "hyper")?),
            Type::Uhyper => Self::Uhyper(as_number(value, "uhyper")?),
            Type::Float => Self::Float(as_number(value, "float")?),
            Type::Double => Self::Double(as_number(value, "double")?),
            Type::Bool => Self::Bool(as_number(value, "bool: true or false")?),
            Type::String => Self::String(value.to_owned()),
            Type::Opaque => Self::Opaque(octets(value)?),
            Type::Hex => Self::Hex(octets(value)?),
        })
    }

    pub(super) fn write(&self, to: &mut Encoder<'_>) -> Result<(), Fault> {
        match self {
            Self::Int(value) => to.i32(*value),
            Self::Uint(value) => to.u32(*value),
            Self::Hyper(value) => to.i64(*value),
            Self::Uhyper(value) => to.u64(*value),
            Self::Float(value) => to.f32(*value),
            Self::Double(value) => to.f64(*value),
            Self::Bool(value) => to.bool(*value),
            Self::String(value) => to.text(&(&**value).into(), usize::MAX),
            Self::Opaque(value) => to.opaque(&(&value[..]).into(), usize::MAX),
            Self::Hex(value) => to.opaque_fixed(value),
        }
    }
}

/// Two digits an octet.
pub(super) fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

fn octets(text: &str) -> Result<Vec<u8>, String> {
    let wrong = || format!("{text} is not in hexadecimal: two digits an octet");
    if !text.len().is_multiple_of(2) || !text.is_ascii() {
        return Err(wrong());
    }
    let octet = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).map_err(|_| wrong());
    (0..text.len()).step_by(2).map(octet).collect()
}

const NAMES: [(&str, Type); 10] = [
    ("int", Type::Int),
    ("uint", Type::Uint),
    ("hyper", Type::Hyper),
    ("uhyper", Type::Uhyper),
    ("float", Type::Float),
    ("double", Type::Double),
    ("bool", Type::Bool),
    ("string", Type::String),
    ("opaque", Type::Opaque),
    ("hex", Type::Hex),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_read_back_as_it_was_written() {
        for (text, shown) in [
            ("12", "12"),
            ("int:-7", "-7"),
            ("uint:4294967295", "4294967295"),
            ("hyper:-5000000000", "-5000000000"),
            ("uhyper:18446744073709551615", "18446744073709551615"),
            ("float:1.5", "1.5"),
            ("double:-0.25", "-0.25"),
            ("bool:true", "true"),
            ("string:a:b", "a:b"),
            ("opaque:00ff7e", "00ff7e"),
            ("hex:0000000c", "0000000c"),
        ] {
            let value = Value::parse(text).unwrap();
            let octets = Encoder::vec(|to| value.write(to)).unwrap();
            let ty = Type::parse(text.split_once(':').map_or("int", |(ty, _)| ty)).unwrap();
            let mut from = Decoder::new(&octets);
            assert_eq!(ty.read(&mut from).unwrap(), shown, "{text}");
            assert_eq!(from.finish(), Ok(()));
        }
    }

    #[test]
    fn what_is_no_value_is_refused_with_a_sentence() {
        for (text, part) in [
            ("x", "x is no int"),
            ("uint:-1", "is no uint"),
            ("bool:1", "true or false"),
            ("word:1", "no type word: there are int, uint"),
            ("hex:abc", "two digits an octet"),
            ("opaque:zz", "two digits an octet"),
        ] {
            let why = Value::parse(text).unwrap_err();
            assert!(why.contains(part), "{text}: {why}");
        }
    }
}
