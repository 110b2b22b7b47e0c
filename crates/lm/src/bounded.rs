//! Templates that end and that make no more than there is room for, whatever somebody wrote into them.
//!
//! The template engine counts steps, and a step may double a text. So a template is not run as it was parsed: every
//! place where a value comes into being (`+`, `~`, `*`, filters, calls, lists, mappings) is followed by a look at how
//! much there is of it, what is printed is counted, the template's own text included, and the few filters and methods
//! whose result can be far longer than what they are given are asked first. The tree is rebuilt with those looks in it;
//! lines in messages stay.

use minijinja::machinery::ast::{self, Expr, Spanned, Stmt};
use minijinja::machinery::{CodeGenerator, Span, eval, make_string_output, parse};
use minijinja::syntax::SyntaxConfig;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, Value};
use std::cell::Cell;

mod measure;
#[cfg(test)]
mod tests;

/// Steps a template may take: thousands of messages need fewer, and an endless loop ends.
const FUEL: u64 = 5_000_000;
/// Longest template, and most bytes of one value it makes.
const LONGEST_SOURCE: usize = 1 << 20;
const LONGEST_VALUE: usize = 16 << 20;
/// Most bytes that are printed, those into variables included.
const MOST_PRINTED: usize = 64 << 20;
/// Most bytes that are made by filters and methods which multiply.
const MOST_MADE: usize = 1 << 30;
/// Most items of lists and mappings that are looked at, over and over.
const MOST_LOOKS: usize = 20_000_000;
/// Deepest value.
const DEEPEST: usize = 100;
/// Most operators in one tag, and most `elif`: the parser and the engine go a level deeper for each.
const MOST_OPERATORS: usize = 400;

/// What is left for one rendering. It runs on one thread.
#[derive(Clone, Copy)]
struct Left {
    printed: usize,
    made: usize,
    looks: usize,
}

const ALL: Left = Left { printed: MOST_PRINTED, made: MOST_MADE, looks: MOST_LOOKS };

thread_local! {
    static LEFT: Cell<Left> = const { Cell::new(ALL) };
}

/// The error of a template that makes more than there is room for.
pub(crate) fn refuse(what: impl Into<String>) -> Error {
    let what = format!("{}; a chat template prints its conversation, and this one does something else", what.into());
    Error::new(ErrorKind::InvalidOperation, what).with_source(Bound)
}

/// Marks an error as one of these bounds.
#[derive(Debug, thiserror::Error)]
#[error("a bound on what templates may make")]
pub(crate) struct Bound;

/// Whether a template ran into a bound: then it does so with every conversation.
pub(crate) fn is_bound(error: &Error) -> bool {
    sources(error).any(|error| {
        let fuel = error.downcast_ref::<Error>().is_some_and(|error| error.kind() == ErrorKind::OutOfFuel);
        fuel || error.is::<Bound>()
    })
}

/// An error, what it came from, what that came from, and so on.
pub(crate) fn sources(error: &Error) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
    let first: &(dyn std::error::Error + 'static) = error;
    std::iter::successors(Some(first), |error| error.source())
}

fn take(which: impl Fn(&mut Left) -> &mut usize, count: usize, what: &str) -> Result<(), Error> {
    LEFT.with(|cell| {
        let mut left = cell.get();
        let place = which(&mut left);
        *place = place.checked_sub(count).ok_or_else(|| refuse(what))?;
        cell.set(left);
        Ok(())
    })
}

/// Gives an environment what rebuilt templates need, its printer among it.
pub(crate) fn install(environment: &mut Environment<'static>) {
    measure::install(environment);
}

/// Says whether a template can be parsed and run.
pub(crate) fn check(source: &str, syntax: &SyntaxConfig) -> Result<(), Error> {
    with_tree(source, syntax, |_| Ok(()))
}

/// Renders a template within the bounds.
pub(crate) fn render(
    environment: &Environment,
    source: &str,
    syntax: &SyntaxConfig,
    variables: Value,
) -> Result<String, Error> {
    with_tree(source, syntax, |tree| {
        let mut generator = CodeGenerator::new(NAME, source);
        generator.compile_stmt(tree);
        let (instructions, blocks) = generator.finish();
        LEFT.set(ALL);
        let mut text = String::new();
        let mut output = make_string_output(&mut text);
        let done = eval(environment, &instructions, variables, &blocks, &mut output, AutoEscape::None).map(drop);
        drop(output);
        done.map(|()| text)
    })
}

const NAME: &str = "template";

fn with_tree<'a, T>(
    source: &'a str,
    syntax: &SyntaxConfig,
    then: impl FnOnce(&Stmt<'a>) -> Result<T, Error>,
) -> Result<T, Error> {
    if source.len() > LONGEST_SOURCE {
        return Err(refuse(format!("it is longer than {} bytes", LONGEST_SOURCE)));
    }
    operators(source)?;
    let tree = parse(source, NAME, syntax.clone())?;
    then(&statement(&tree)?)
}

/// Counts what makes a tag deep, before anything is parsed: generously, texts in quotes apart.
fn operators(source: &str) -> Result<(), Error> {
    let wrong = || refuse(format!("it has more than {MOST_OPERATORS} operators in one tag"));
    let (mut rest, mut elifs) = (source, 0);
    while let Some(at) = ["{{", "{%"].iter().filter_map(|open| rest.find(open)).min() {
        // A comment may hold anything.
        if let Some(comment) = rest[..at].find("{#") {
            let Some(end) = rest[comment..].find("#}") else { return Ok(()) };
            rest = &rest[comment + end + 2..];
            continue;
        }
        let close = if rest[at..].starts_with("{{") { "}}" } else { "%}" };
        let body = &rest[at + 2..];
        let (mut count, mut end, mut quote, mut escaped, mut word) = (0, body.len(), None, false, String::new());
        for (place, c) in body.char_indices() {
            if escaped || (quote.is_some() && c == '\\') {
                escaped = !escaped;
                continue;
            }
            match (quote, c) {
                (Some(open), c) if c == open => quote = None,
                (Some(_), _) => {}
                (None, '"' | '\'') => quote = Some(c),
                (None, _) if body[place..].starts_with(close) => {
                    end = place;
                    break;
                }
                (None, '-' | '~' | '+' | '*' | '/' | '|' | '.' | '[' | '(' | '{') => count += 1,
                (None, _) => {}
            }
            if quote.is_none() && c.is_alphabetic() && word.len() < 8 {
                word.push(c);
                continue;
            }
            let deepens = ["not", "if", "else", "and", "or", "is", "in", "elif"].contains(&word.as_str());
            count += usize::from(deepens);
            elifs += usize::from(word == "elif");
            word.clear();
        }
        if count > MOST_OPERATORS || elifs > MOST_OPERATORS {
            return Err(wrong());
        }
        rest = &body[end..];
    }
    Ok(())
}

fn filter<'a>(name: &'a str, expr: Expr<'a>, span: Span) -> Expr<'a> {
    Expr::Filter(Spanned::new(ast::Filter { name, expr: Some(expr), args: Vec::new() }, span))
}

/// An expression whose value is looked at.
fn made<'a>(expr: Expr<'a>) -> Expr<'a> {
    let span = expr.span();
    filter("__made", expr, span)
}

fn all<'a>(list: &[Expr<'a>]) -> Vec<Expr<'a>> {
    list.iter().map(expression).collect()
}

fn some<'a>(expr: &Option<Expr<'a>>) -> Option<Expr<'a>> {
    expr.as_ref().map(expression)
}

fn arguments<'a>(list: &[ast::CallArg<'a>]) -> Vec<ast::CallArg<'a>> {
    use ast::CallArg::{Kwarg, KwargSplat, Pos, PosSplat};
    let one = |argument: &ast::CallArg<'a>| match argument {
        Pos(expr) => Pos(expression(expr)),
        Kwarg(name, expr) => Kwarg(name, expression(expr)),
        PosSplat(expr) => PosSplat(expression(expr)),
        KwargSplat(expr) => KwargSplat(expression(expr)),
    };
    list.iter().map(one).collect()
}

fn call<'a>(call: &Spanned<ast::Call<'a>>) -> Spanned<ast::Call<'a>> {
    Spanned::new(ast::Call { expr: expression(&call.expr), args: arguments(&call.args) }, call.span())
}

fn expression<'a>(expr: &Expr<'a>) -> Expr<'a> {
    let span = expr.span();
    match expr {
        Expr::Var(var) => Expr::Var(Spanned::new(ast::Var { id: var.id }, span)),
        Expr::Const(value) => Expr::Const(Spanned::new(ast::Const { value: value.value.clone() }, span)),
        Expr::Slice(e) => {
            let (start, stop, step) = (some(&e.start), some(&e.stop), some(&e.step));
            made(Expr::Slice(Spanned::new(ast::Slice { expr: expression(&e.expr), start, stop, step }, span)))
        }
        Expr::UnaryOp(e) => {
            // The kind cannot be copied.
            let op = if matches!(e.op, ast::UnaryOpKind::Not) { ast::UnaryOpKind::Not } else { ast::UnaryOpKind::Neg };
            Expr::UnaryOp(Spanned::new(ast::UnaryOp { op, expr: expression(&e.expr) }, span))
        }
        Expr::BinOp(e) => {
            use ast::BinOpKind::{Add, Concat, Mul, Pow};
            let makes = matches!(e.op, Add | Concat | Mul | Pow);
            // Looked at before as well: what is not made yet would be now. It also keeps constants from being worked
            // out while the template is compiled.
            let side = |expr: &Expr<'a>| if makes { made(expression(expr)) } else { expression(expr) };
            let whole = ast::BinOp { op: e.op, left: side(&e.left), right: side(&e.right) };
            let whole = Expr::BinOp(Spanned::new(whole, span));
            if makes { made(whole) } else { whole }
        }
        Expr::Compare(e) => {
            let ops = e.ops.iter().map(|op| ast::CompareOp { op: op.op, expr: expression(&op.expr) }).collect();
            Expr::Compare(Spanned::new(ast::Compare { expr: expression(&e.expr), ops }, span))
        }
        Expr::IfExpr(e) => {
            let (test_expr, true_expr) = (expression(&e.test_expr), expression(&e.true_expr));
            Expr::IfExpr(Spanned::new(ast::IfExpr { test_expr, true_expr, false_expr: some(&e.false_expr) }, span))
        }
        Expr::Filter(e) => {
            let args = arguments(&e.args);
            made(Expr::Filter(Spanned::new(ast::Filter { name: e.name, expr: some(&e.expr), args }, span)))
        }
        Expr::Test(e) => {
            let args = arguments(&e.args);
            Expr::Test(Spanned::new(ast::Test { name: e.name, expr: expression(&e.expr), args }, span))
        }
        Expr::GetAttr(e) => Expr::GetAttr(Spanned::new(ast::GetAttr { expr: expression(&e.expr), name: e.name }, span)),
        Expr::GetItem(e) => {
            let subscript_expr = expression(&e.subscript_expr);
            Expr::GetItem(Spanned::new(ast::GetItem { expr: expression(&e.expr), subscript_expr }, span))
        }
        Expr::Call(e) => made(Expr::Call(call(e))),
        Expr::List(e) => made(Expr::List(Spanned::new(ast::List { items: all(&e.items) }, span))),
        Expr::Tuple(e) => made(Expr::Tuple(Spanned::new(ast::Tuple { items: all(&e.items) }, span))),
        Expr::Map(e) => made(Expr::Map(Spanned::new(ast::Map { keys: all(&e.keys), values: all(&e.values) }, span))),
    }
}

/// Where a value is put: a name, an attribute, or several of them.
fn target<'a>(expr: &Expr<'a>) -> Expr<'a> {
    let span = expr.span();
    match expr {
        Expr::List(e) => Expr::List(Spanned::new(ast::List { items: e.items.iter().map(target).collect() }, span)),
        Expr::Tuple(e) => Expr::Tuple(Spanned::new(ast::Tuple { items: e.items.iter().map(target).collect() }, span)),
        other => expression(other),
    }
}

fn body<'a>(list: &[Stmt<'a>]) -> Result<Vec<Stmt<'a>>, Error> {
    list.iter().map(statement).collect()
}

fn macro_of<'a>(e: &Spanned<ast::Macro<'a>>) -> Result<Spanned<ast::Macro<'a>>, Error> {
    let args = e.args.iter().map(target).collect();
    Ok(Spanned::new(ast::Macro { name: e.name, args, defaults: all(&e.defaults), body: body(&e.body)? }, e.span()))
}

/// A chain of filters without its beginning, which is what was printed.
fn chain<'a>(expr: &Expr<'a>) -> Expr<'a> {
    match expr {
        Expr::Filter(e) => {
            let inner = e.expr.as_ref().map(chain);
            let args = arguments(&e.args);
            made(Expr::Filter(Spanned::new(ast::Filter { name: e.name, expr: inner, args }, e.span())))
        }
        other => expression(other),
    }
}

fn statement<'a>(stmt: &Stmt<'a>) -> Result<Stmt<'a>, Error> {
    let unknown = |tag: &str| {
        Err(Error::new(ErrorKind::SyntaxError, format!("{{% {tag} %}}: a chat template is one file, with no others")))
    };
    Ok(match stmt {
        Stmt::Template(e) => Stmt::Template(Spanned::new(ast::Template { children: body(&e.children)? }, e.span())),
        Stmt::EmitExpr(e) => {
            let expr = match &e.expr {
                // Printed where they are called.
                Expr::Call(inner) => Expr::Call(call(inner)),
                other => expression(other),
            };
            Stmt::EmitExpr(Spanned::new(ast::EmitExpr { expr }, e.span()))
        }
        // Printed like a value, and so counted.
        Stmt::EmitRaw(e) => {
            let value = Expr::Const(Spanned::new(ast::Const { value: Value::from(e.raw) }, e.span()));
            Stmt::EmitExpr(Spanned::new(ast::EmitExpr { expr: value }, e.span()))
        }
        Stmt::ForLoop(e) => {
            let (target, iter) = (target(&e.target), expression(&e.iter));
            let (filter_expr, recursive) = (some(&e.filter_expr), e.recursive);
            let (body, else_body) = (body(&e.body)?, body(&e.else_body)?);
            Stmt::ForLoop(Spanned::new(
                ast::ForLoop { target, iter, filter_expr, recursive, body, else_body },
                e.span(),
            ))
        }
        Stmt::IfCond(e) => {
            let (true_body, false_body) = (body(&e.true_body)?, body(&e.false_body)?);
            Stmt::IfCond(Spanned::new(ast::IfCond { expr: expression(&e.expr), true_body, false_body }, e.span()))
        }
        Stmt::WithBlock(e) => {
            let assignments = e.assignments.iter().map(|(to, value)| (target(to), expression(value))).collect();
            Stmt::WithBlock(Spanned::new(ast::WithBlock { assignments, body: body(&e.body)? }, e.span()))
        }
        Stmt::Set(e) => {
            Stmt::Set(Spanned::new(ast::Set { target: target(&e.target), expr: expression(&e.expr) }, e.span()))
        }
        Stmt::SetBlock(e) => {
            let filter = e.filter.as_ref().map(chain);
            let block = ast::SetBlock { target: target(&e.target), filter, body: body(&e.body)? };
            Stmt::SetBlock(Spanned::new(block, e.span()))
        }
        Stmt::AutoEscape(e) => {
            let block = ast::AutoEscape { enabled: expression(&e.enabled), body: body(&e.body)? };
            Stmt::AutoEscape(Spanned::new(block, e.span()))
        }
        Stmt::FilterBlock(e) => Stmt::FilterBlock(Spanned::new(
            ast::FilterBlock { filter: chain(&e.filter), body: body(&e.body)? },
            e.span(),
        )),
        Stmt::Block(e) => {
            let block = ast::Block { name: e.name, required: e.required, body: body(&e.body)? };
            Stmt::Block(Spanned::new(block, e.span()))
        }
        Stmt::Macro(e) => Stmt::Macro(macro_of(e)?),
        Stmt::CallBlock(e) => {
            let block = ast::CallBlock { call: call(&e.call), macro_decl: macro_of(&e.macro_decl)? };
            Stmt::CallBlock(Spanned::new(block, e.span()))
        }
        Stmt::Continue(e) => Stmt::Continue(Spanned::new(ast::Continue, e.span())),
        Stmt::Break(e) => Stmt::Break(Spanned::new(ast::Break, e.span())),
        Stmt::Do(e) => Stmt::Do(Spanned::new(ast::Do { call: call(&e.call) }, e.span())),
        Stmt::Import(_) | Stmt::FromImport(_) => return unknown("import"),
        Stmt::Extends(_) => return unknown("extends"),
        Stmt::Include(_) => return unknown("include"),
    })
}
