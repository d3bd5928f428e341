//! Names that are given twice, which the builder would refuse when the program runs: told at the second.

use quote::ToTokens;
use syn::{Error, Ident};

use super::inline::Inline;
use super::steps::{Body, Branch, Join, Step};

/// Refuses what has a name that another has: steps in place, and branches of one fork.
pub(crate) fn refuse_doubles(steps: &[Step]) -> syn::Result<()> {
    Names::default().steps(steps)
}

/// The steps in place so far. A task may stand anywhere and often; what is written in place is there once.
#[derive(Default)]
struct Names<'a>(Vec<&'a Ident>);

impl<'a> Names<'a> {
    fn steps(&mut self, steps: &'a [Step]) -> syn::Result<()> {
        steps.iter().try_for_each(|step| self.step(step))
    }

    fn step(&mut self, step: &'a Step) -> syn::Result<()> {
        match step {
            Step::Inline(inline) | Step::Loop { body: Body::Inline(inline), .. } => self.inline(inline),
            Step::Loop { body: Body::Steps { id: _, steps }, .. } => self.steps(steps),
            Step::Fork { branches, join, span: _ } => {
                refuse_double_branch(branches)?;
                branches.iter().try_for_each(|branch| self.steps(&branch.steps))?;
                match join {
                    Join::Inline(inline) => self.inline(inline),
                    Join::Task(_) => Ok(()),
                }
            }
            Step::Route(route) => {
                route.arms.iter().try_for_each(|(_, steps)| self.steps(steps))?;
                self.steps(route.default.as_deref().unwrap_or_default())
            }
            Step::Task(_)
            | Step::Delay { .. }
            | Step::Signal { .. }
            | Step::Loop { body: Body::Task(_), .. }
            | Step::Flow(_)
            | Step::Group(_) => Ok(()),
        }
    }

    fn inline(&mut self, inline: &'a Inline) -> syn::Result<()> {
        let name = &inline.name;
        if self.0.contains(&name) {
            return Err(Error::new(name.span(), format!("another step of this workflow is named `{name}`: give one of them another name")));
        }
        self.0.push(name);
        Ok(())
    }
}

fn refuse_double_branch(branches: &[Branch]) -> syn::Result<()> {
    let mut known = Vec::new();
    for Branch { name, steps } in branches {
        let (text, span) = match (name, steps.first()) {
            (Some(name), _) => (name.value(), name.span()),
            (None, Some(first @ Step::Task(path))) => (path.to_token_stream().to_string(), first.span()),
            (None, Some(Step::Inline(inline))) => (inline.id(), inline.name.span()),
            (None, _) => continue,
        };
        if known.contains(&text) {
            return Err(Error::new(span, format!("another branch here is named `{text}`: give one of them a name, as `other: {text}`")));
        }
        known.push(text);
    }
    Ok(())
}
