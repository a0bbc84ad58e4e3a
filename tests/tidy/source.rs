//! What the rules want to know about one Rust file: what it names, how long its functions are, where it may panic. Read
//! from the syntax tree; no rule is here.

use std::collections::HashMap;

use proc_macro2::{TokenStream, TokenTree};
use syn::{
    Attribute, Expr, ExprLit, ExprMethodCall, ImplItemFn, Item, ItemFn, ItemMod, ItemUse, Lit, Macro, Path,
    TraitItemFn, UseTree,
    spanned::Spanned as _,
    visit::{self, Visit},
};

/// A child module in a file of its own.
pub struct Child {
    /// Its path from the crate's root.
    pub module: Vec<String>,
    /// The file's name without ending, below the parent's folder.
    pub file: String,
    /// What `#[path]` says.
    pub path: Option<String>,
    /// Whether it is declared for tests only.
    pub test: bool,
}

/// Something that is named: `crate::store::Store`, with `crate` as the first segment, or another crate.
pub struct Named {
    /// Where.
    pub line: usize,
    /// The segments, aliases and `super` resolved.
    pub path: Vec<String>,
    /// Whether in code for tests only.
    pub test: bool,
}

/// A function.
pub struct Function {
    /// Where it begins.
    pub line: usize,
    /// Its name.
    pub name: String,
    /// Lines from its signature to its closing brace.
    pub lines: usize,
}

/// A place that may panic on purpose.
pub struct Panics {
    /// Where.
    pub line: usize,
    /// `unwrap`, `expect`, `panic!` …
    pub what: String,
    /// The reason given, if it is a literal.
    pub reason: Option<String>,
    /// Whether in code for tests only.
    pub test: bool,
}

/// What is in a file.
#[derive(Default)]
pub struct Source {
    pub children: Vec<Child>,
    pub named: Vec<Named>,
    pub functions: Vec<Function>,
    pub panics: Vec<Panics>,
}

const PANICKING_MACROS: [&str; 5] = ["panic", "unreachable", "todo", "unimplemented", "dbg"];

/// Whether a method of this name is that of `Option` and `Result` (a key's own `unwrap` takes arguments).
fn panics_by_itself(method: &str, without_arguments: bool) -> bool {
    match method {
        "unwrap" | "unwrap_err" => without_arguments,
        "expect" | "expect_err" => !without_arguments,
        _ => false,
    }
}

/// Reads a file that is the module at `module`.
pub fn read(text: &str, module: &[String]) -> syn::Result<Source> {
    let file = syn::parse_file(text)?;
    let mut aliases = Aliases::default();
    aliases.visit_file(&file);
    let mut reader = Reader {
        source: Source::default(),
        module: module.to_vec(),
        inline: Vec::new(),
        aliases: HashMap::new(),
        tests: usize::from(is_for_tests(&file.attrs)),
    };
    for (name, path) in aliases.0 {
        let absolute = reader.absolute(&path);
        reader.aliases.insert(name, absolute);
    }
    reader.visit_file(&file);
    Ok(reader.source)
}

/// Modules that the file imports by name, so that `store::embedded` is known for `crate::store::embedded`. Only
/// lower-case names: types lead no further.
#[derive(Default)]
struct Aliases(HashMap<String, Vec<String>>);

impl<'ast> Visit<'ast> for Aliases {
    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        each_leaf(&item.tree, &mut Vec::new(), &mut |path, name| {
            if path.len() > 1 && name.starts_with(|first: char| first.is_ascii_lowercase()) {
                self.0.insert(name.to_owned(), path.to_vec());
            }
        });
    }
}

/// Calls `found` with each path of a `use` and the name that it gets.
fn each_leaf(tree: &UseTree, path: &mut Vec<String>, found: &mut impl FnMut(&[String], &str)) {
    let mut leaf = |ident: &syn::Ident, name: String| {
        // `use a::{self}` names `a`.
        if ident != "self" || path.is_empty() {
            path.push(ident.to_string());
            found(path, &name);
            path.pop();
        } else {
            let name = if name == "self" { path.last().cloned().unwrap_or_default() } else { name };
            found(path, &name);
        }
    };
    match tree {
        UseTree::Name(name) => leaf(&name.ident, name.ident.to_string()),
        UseTree::Rename(rename) => leaf(&rename.ident, rename.rename.to_string()),
        UseTree::Path(step) => {
            path.push(step.ident.to_string());
            each_leaf(&step.tree, path, found);
            path.pop();
        }
        UseTree::Group(group) => group.items.iter().for_each(|tree| each_leaf(tree, path, found)),
        UseTree::Glob(_) => {
            path.push("*".to_owned());
            found(path, "*");
            path.pop();
        }
    }
}

struct Reader {
    source: Source,
    module: Vec<String>,
    /// Inline modules that we are in: they are folders for files declared within.
    inline: Vec<String>,
    aliases: HashMap<String, Vec<String>>,
    /// How many items for tests only we are in.
    tests: usize,
}

impl Reader {
    fn absolute(&self, path: &[String]) -> Vec<String> {
        let mut module: Vec<&str> = self.module.iter().chain(&self.inline).map(String::as_str).collect();
        let mut rest = path;
        let mut relative = false;
        while let [first, after @ ..] = rest {
            match first.as_str() {
                "crate" | "waybill" => module.clear(),
                "self" => {}
                "super" => drop(module.pop()),
                _ => break,
            }
            relative = true;
            rest = after;
        }
        if relative {
            let whole = std::iter::once("crate").chain(module).map(str::to_owned);
            return whole.chain(rest.iter().cloned()).collect();
        }
        match path.first().and_then(|first| self.aliases.get(first)) {
            Some(alias) if path.len() > 1 => alias.iter().chain(&path[1..]).cloned().collect(),
            _ => path.to_vec(),
        }
    }

    fn name(&mut self, line: usize, path: &[String]) {
        let path = self.absolute(path);
        if path.len() > 1 {
            self.source.named.push(Named { line, path, test: self.tests > 0 });
        }
    }

    fn panics(&mut self, line: usize, what: String, reason: Option<String>) {
        self.source.panics.push(Panics { line, what, reason, test: self.tests > 0 });
    }

    fn function(&mut self, signature: &syn::Signature, end: usize) {
        let line = signature.span().start().line;
        self.source.functions.push(Function { line, name: signature.ident.to_string(), lines: end + 1 - line });
    }

    /// Paths and panics in a macro's arguments, which are tokens and no syntax tree.
    fn tokens(&mut self, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut at = 0;
        while at < tokens.len() {
            if let TokenTree::Group(group) = &tokens[at] {
                self.tokens(group.stream());
            }
            let (path, length) = path_at(&tokens[at..]);
            if path.len() > 1 {
                self.name(tokens[at].span().start().line, &path);
            }
            if let [TokenTree::Punct(dot), TokenTree::Ident(method), TokenTree::Group(arguments), ..] = &tokens[at..]
                && dot.as_char() == '.'
                && panics_by_itself(&method.to_string(), arguments.stream().is_empty())
            {
                let reason = arguments.stream().into_iter().next().and_then(|token| literal(&token));
                self.panics(method.span().start().line, method.to_string(), reason);
            }
            if let [TokenTree::Ident(name), TokenTree::Punct(mark), TokenTree::Group(arguments), ..] = &tokens[at..]
                && mark.as_char() == '!'
                && PANICKING_MACROS.contains(&name.to_string().as_str())
            {
                let reason = arguments.stream().into_iter().next().and_then(|token| literal(&token));
                self.panics(name.span().start().line, format!("{name}!"), reason);
            }
            at += length.max(1);
        }
    }
}

/// The path that tokens begin with, and how many tokens it has.
fn path_at(tokens: &[TokenTree]) -> (Vec<String>, usize) {
    let mut path = Vec::new();
    let mut at = 0;
    while let Some(TokenTree::Ident(ident)) = tokens.get(at) {
        path.push(ident.to_string());
        at += 1;
        match &tokens[at..] {
            [TokenTree::Punct(a), TokenTree::Punct(b), TokenTree::Ident(_), ..]
                if a.as_char() == ':' && b.as_char() == ':' =>
            {
                at += 2;
            }
            _ => break,
        }
    }
    (path, at)
}

fn text(expression: &Expr) -> Option<String> {
    match expression {
        Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Some(text.value()),
        _ => None,
    }
}

fn literal(token: &TokenTree) -> Option<String> {
    let TokenTree::Literal(literal) = token else { return None };
    match syn::parse_str::<Lit>(&literal.to_string()).ok()? {
        Lit::Str(text) => Some(text.value()),
        _ => None,
    }
}

fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let path = attribute.path();
        if path.is_ident("cfg") {
            let tokens = attribute.meta.require_list().map(|list| list.tokens.to_string()).unwrap_or_default();
            return tokens == "test" || tokens.starts_with("all (test");
        }
        path.segments.last().is_some_and(|last| last.ident == "test")
    })
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item(&mut self, item: &'ast Item) {
        let test = usize::from(is_for_tests(attributes(item)));
        self.tests += test;
        visit::visit_item(self, item);
        self.tests -= test;
    }

    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        let name = item.ident.to_string();
        if item.content.is_none() {
            let path = item
                .attrs
                .iter()
                .find(|attribute| attribute.path().is_ident("path"))
                .and_then(|attribute| text(&attribute.meta.require_name_value().ok()?.value));
            let module = self.module.iter().chain(&self.inline).chain([&name]).cloned().collect();
            let file = self.inline.iter().chain([&name]).cloned().collect::<Vec<_>>().join("/");
            self.source.children.push(Child { module, file, path, test: self.tests > 0 });
        }
        self.inline.push(name);
        visit::visit_item_mod(self, item);
        self.inline.pop();
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        let line = item.span().start().line;
        let mut found = Vec::new();
        each_leaf(&item.tree, &mut Vec::new(), &mut |path, _| found.push(path.to_vec()));
        for path in found {
            self.name(line, &path);
        }
    }

    fn visit_path(&mut self, path: &'ast Path) {
        let segments: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        self.name(path.span().start().line, &segments);
        visit::visit_path(self, path);
    }

    fn visit_item_fn(&mut self, item: &'ast ItemFn) {
        self.function(&item.sig, item.block.span().end().line);
        visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast ImplItemFn) {
        let test = usize::from(is_for_tests(&item.attrs));
        self.tests += test;
        self.function(&item.sig, item.block.span().end().line);
        visit::visit_impl_item_fn(self, item);
        self.tests -= test;
    }

    fn visit_trait_item_fn(&mut self, item: &'ast TraitItemFn) {
        if let Some(block) = &item.default {
            self.function(&item.sig, block.span().end().line);
        }
        visit::visit_trait_item_fn(self, item);
    }

    fn visit_expr_method_call(&mut self, call: &'ast ExprMethodCall) {
        let method = call.method.to_string();
        if panics_by_itself(&method, call.args.is_empty()) {
            let reason = call.args.first().and_then(text);
            self.panics(call.method.span().start().line, method, reason);
        }
        visit::visit_expr_method_call(self, call);
    }

    fn visit_macro(&mut self, item: &'ast Macro) {
        if let Some(name) = item.path.segments.last().map(|segment| segment.ident.to_string())
            && PANICKING_MACROS.contains(&name.as_str())
        {
            let reason = item.tokens.clone().into_iter().next().and_then(|token| literal(&token));
            self.panics(item.path.span().start().line, format!("{name}!"), reason);
        }
        visit::visit_path(self, &item.path);
        self.tokens(item.tokens.clone());
    }
}
