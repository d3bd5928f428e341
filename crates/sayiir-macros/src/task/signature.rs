//! What a task's function takes and gives.

use syn::spanned::Spanned;
use syn::{Attribute, Error, FnArg, GenericArgument, Ident, ItemFn, Pat, PathArguments, ReturnType, Type};

/// A dependency: a parameter marked with `#[inject]`.
pub(crate) struct Dependency {
    pub(crate) name: Ident,
    pub(crate) r#type: Type,
}

/// One parameter, in the function's order.
pub(crate) enum Parameter {
    Input,
    Dependency(usize),
}

pub(crate) struct Signature {
    /// `None`: it takes nothing, and stands where `()` flows.
    pub(crate) input: Option<Type>,
    pub(crate) dependencies: Vec<Dependency>,
    pub(crate) parameters: Vec<Parameter>,
    pub(crate) output: Output,
}

/// What the function returns.
pub(crate) enum Output {
    /// Nothing, or a plain value.
    Plain(Option<Type>),
    /// A result, with its error type if that is spelled.
    Result { value: Type, error: Option<Type> },
}

impl Signature {
    /// Reads the signature, and takes the `#[inject]`s out of it.
    pub(crate) fn take(function: &mut ItemFn) -> syn::Result<Self> {
        refuse_what_no_task_is(function)?;
        let mut signature = Self { input: None, dependencies: Vec::new(), parameters: Vec::new(), output: output(&function.sig.output)? };
        for argument in &mut function.sig.inputs {
            let FnArg::Typed(typed) = argument else {
                return Err(Error::new(
                    argument.span(),
                    "a task is a function, not a method: mark what it needs with #[inject] instead of taking `self`",
                ));
            };
            let injected = take_inject(&mut typed.attrs)?;
            refuse_type(&typed.ty, injected)?;
            if injected {
                let Pat::Ident(pattern) = &*typed.pat else {
                    return Err(Error::new(typed.pat.span(), "an injected parameter needs a plain name"));
                };
                signature.parameters.push(Parameter::Dependency(signature.dependencies.len()));
                signature.dependencies.push(Dependency { name: pattern.ident.clone(), r#type: (*typed.ty).clone() });
            } else if signature.input.is_some() {
                let help = "a task takes one input: put several values into a struct or a tuple, or mark what is no input with #[inject]";
                return Err(Error::new(typed.span(), help));
            } else {
                signature.parameters.push(Parameter::Input);
                signature.input = Some((*typed.ty).clone());
            }
        }
        Ok(signature)
    }
}

fn refuse_what_no_task_is(function: &ItemFn) -> syn::Result<()> {
    let signature = &function.sig;
    if let Some(parameter) = signature.generics.params.first() {
        let help = "a task has no generic parameters: its input is stored, so its types must be known; write one task for each type";
        return Err(Error::new(parameter.span(), help));
    }
    if let Some(clause) = &signature.generics.where_clause {
        return Err(Error::new(clause.span(), "a task has no where clause: its types must be known"));
    }
    if let Some(token) = &signature.constness {
        return Err(Error::new(token.span(), "a task is no const function: write `async fn` or `fn`"));
    }
    if signature.unsafety.is_some() {
        return Err(Error::new(signature.ident.span(), "a task is no unsafe function: call the unsafe code inside of it"));
    }
    if let Some(abi) = &signature.abi {
        return Err(Error::new(abi.span(), "a task is an ordinary Rust function, without an ABI"));
    }
    if let Some(dots) = &signature.variadic {
        return Err(Error::new(dots.span(), "a task takes one input"));
    }
    Ok(())
}

fn take_inject(attributes: &mut Vec<Attribute>) -> syn::Result<bool> {
    let before = attributes.len();
    if let Some(wrong) =
        attributes.iter().find(|attribute| attribute.path().is_ident("inject") && attribute.meta.require_path_only().is_err())
    {
        return Err(Error::new(wrong.span(), "write #[inject], without arguments: what is injected is found by its type"));
    }
    attributes.retain(|attribute| !attribute.path().is_ident("inject"));
    match before - attributes.len() {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(Error::new(proc_macro2::Span::call_site(), "a parameter is injected once")),
    }
}

fn refuse_type(r#type: &Type, injected: bool) -> syn::Result<()> {
    let help = match (r#type, injected) {
        (Type::Reference(_), false) => {
            "a task owns its input, for it is read from the store: take `String` instead of `&str`, `Vec<T>` instead of `&[T]`, `T` instead of `&T`"
        }
        (Type::Reference(_), true) => "a task owns what is injected: take `Arc<T>`, and insert an `Arc<T>` into the deps",
        (Type::ImplTrait(_), false) => "a task's input is stored, so its type must be known: name the type",
        (Type::ImplTrait(_), true) => "what is injected is found by its type: name it, as `Arc<dyn Trait>`",
        _ => return Ok(()),
    };
    Err(Error::new(r#type.span(), help))
}

fn output(output: &ReturnType) -> syn::Result<Output> {
    let ReturnType::Type(_, r#type) = output else { return Ok(Output::Plain(None)) };
    match &**r#type {
        Type::ImplTrait(_) => Err(Error::new(r#type.span(), "name the type that the task gives; where it is a future, write `async fn`")),
        Type::Reference(_) => Err(Error::new(r#type.span(), "a task's output is stored: give an owned value")),
        Type::Path(path) => match path.path.segments.last() {
            Some(last) if last.ident == "Result" => result_of(r#type, &last.arguments),
            _ => Ok(Output::Plain(Some((**r#type).clone()))),
        },
        _ => Ok(Output::Plain(Some((**r#type).clone()))),
    }
}

fn result_of(r#type: &Type, arguments: &PathArguments) -> syn::Result<Output> {
    let PathArguments::AngleBracketed(arguments) = arguments else {
        return Err(Error::new(r#type.span(), "spell the result's types: `Result<Out, Error>`"));
    };
    let mut types =
        arguments.args.iter().filter_map(|argument| if let GenericArgument::Type(found) = argument { Some(found.clone()) } else { None });
    match types.next() {
        Some(value) => Ok(Output::Result { value, error: types.next() }),
        None => Err(Error::new(r#type.span(), "spell the result's types: `Result<Out, Error>`")),
    }
}
