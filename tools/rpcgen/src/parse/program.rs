//! Programs: versions of procedures, all with numbers.

use super::Parser;
use super::decl::Spec;
use crate::ast::{Decl, Name, Procedure, Program, Shape, Ty, Version};
use crate::error::Fault;

impl Parser<'_> {
    /// What stands behind `program`.
    pub(super) fn program(&mut self) -> Result<Program, Fault> {
        let name = self.name("the program's name")?;
        self.sign('{')?;
        let mut versions = Vec::new();
        loop {
            self.keyword("version")?;
            versions.push(self.version()?);
            if self.try_sign('}') {
                break;
            }
        }
        self.sign('=')?;
        Ok(Program { name, number: self.value()?, versions })
    }

    fn version(&mut self) -> Result<Version, Fault> {
        let name = self.name("the version's name")?;
        self.sign('{')?;
        let mut procedures = Vec::new();
        loop {
            procedures.push(self.procedure()?);
            if self.try_sign('}') {
                break;
            }
        }
        self.sign('=')?;
        let number = self.value()?;
        self.sign(';')?;
        Ok(Version { name, number, procedures })
    }

    fn procedure(&mut self) -> Result<Procedure, Fault> {
        let result = self.passed("results", 0)?;
        let name = self.name("the procedure's name")?;
        self.sign('(')?;
        let mut args = Vec::new();
        if !self.try_sign(')') {
            loop {
                let at = self.here();
                match self.argument(args.len() + 1)? {
                    Some(arg) => args.push(arg),
                    None if args.is_empty() && self.try_sign(')') => break,
                    None => return Err(Fault::new(at, "void stands alone")),
                }
                if !self.try_sign(',') {
                    self.sign(')')?;
                    break;
                }
            }
        }
        self.sign('=')?;
        let number = self.value()?;
        self.sign(';')?;
        Ok(Procedure { name, number, args, result })
    }

    /// An argument, which may have a name, in front of or behind its `<n>` or `*`.
    fn argument(&mut self, n: usize) -> Result<Option<Decl>, Fault> {
        let Some(mut arg) = self.passed("an argument", n)? else { return Ok(None) };
        if self.peek().is_some() {
            arg.name = self.name("the argument's name")?;
            if matches!(arg.shape, Shape::One | Shape::Variable(None)) && self.try_sign('<') {
                arg.shape = self.text_shape(&arg.ty)?;
            }
        }
        Ok(Some(arg))
    }

    /// What goes over: a type, `*` behind it, or string with or without a limit.
    fn passed(&mut self, what: &str, n: usize) -> Result<Option<Decl>, Fault> {
        let at = self.here();
        let ty = match self.type_spec(None)? {
            Spec::Void => return Ok(None),
            Spec::Ty(Ty::Opaque) => {
                return Err(Fault::new(at, format!("opaque cannot be {what}: use a typedef")));
            }
            Spec::Ty(ty) => ty,
            Spec::Body(_) => {
                return Err(Fault::new(at, format!("{what} cannot have a body: name the type")));
            }
        };
        let star = self.here();
        let shape = if self.try_sign('*') {
            if matches!(ty, Ty::String) {
                return Err(Fault::new(star, "a string cannot be optional: use a typedef"));
            }
            Shape::Optional
        } else if self.try_sign('<') {
            self.text_shape(&ty)?
        } else if matches!(ty, Ty::String) {
            Shape::Variable(None)
        } else {
            Shape::One
        };
        Ok(Some(Decl { ty, shape, name: Name { text: format!("arg{n}"), at } }))
    }

    /// What stands behind `<`.
    fn text_shape(&mut self, ty: &Ty) -> Result<Shape, Fault> {
        if !matches!(ty, Ty::String) {
            let at = self.here();
            return Err(Fault::new(at, "an array cannot be passed: use a typedef"));
        }
        if self.try_sign('>') {
            return Ok(Shape::Variable(None));
        }
        let max = self.value()?;
        self.sign('>')?;
        Ok(Shape::Variable(Some(max)))
    }
}
