//! The language: what is taken, and what becomes of it.

use millstream_rpcgen::{Form, Options, generate, generate_file};
use std::path::Path;
use std::process::{Command, Stdio};

fn compile(text: &str) -> String {
    generate("a.x", text, &Options::default()).unwrap_or_else(|errors| panic!("{errors}"))
}

/// Each line of `parts` is in what `text` becomes.
fn becomes(text: &str, parts: &[&str]) {
    let rust = compile(text);
    for part in parts {
        assert!(rust.contains(part), "no {part} in\n{rust}");
    }
}

#[test]
fn constants_are_decimal_hexadecimal_octal_negative_characters_and_texts() {
    let text = "const A = 10; const B = 0x1F; const C = 017; const D = -5; const E = 'a';
        const F = \"text\"; const G = 0xffffffffff; const H = -3000000000; const I = A;";
    becomes(
        text,
        &[
            "pub const A: u32 = 10;",
            "pub const B: u32 = 31;",
            "pub const C: u32 = 15;",
            "pub const D: i32 = -5;",
            "pub const E: u32 = 97;",
            "pub const F: &str = \"text\";",
            "pub const G: u64 = 1099511627775;",
            "pub const H: i64 = -3000000000;",
            "pub const I: u32 = 10;",
        ],
    );
}

#[test]
fn every_spelling_of_a_type_is_known() {
    let text = "struct a { char a; short b; short int c; int d; long e; long int f; hyper g;
        unsigned char h; unsigned short i; unsigned short int j; unsigned int k; unsigned l;
        unsigned long m; unsigned hyper n; float o; double p; quadruple q; bool r; u_int s;
        uint64_t t; bool_t u; netobj v; struct b w; }; struct b { int x; };";
    let types = "i32 i32 i32 i32 i32 i32 i64 u32 u32 u32 u32 u32 u32 u64 f32 f64 Quadruple bool \
        u32 u64 bool Opaque<'a> B";
    let rust = compile(text);
    for (name, ty) in ('a'..='w').zip(types.split_whitespace()) {
        assert!(rust.contains(&format!("pub {name}: {ty},")), "{name}: {ty}\n{rust}");
    }
}

#[test]
fn shapes_are_arrays_vectors_options_and_lists() {
    let text = "const N = 3; enum e { M = 4 }; struct node { int v; node *next; };
        struct tree { tree *l; tree *r; }; typedef int three[N];
        struct a { int f[N]; int g[M]; int h<N>; int i<>; int *j; node *k; tree *l; node m;
        opaque n[N]; opaque o[2000]; opaque p<N>; string q<>; three r<2>; int s[100]; };";
    becomes(
        text,
        &[
            "pub type Three = [i32; N as usize];",
            "pub f: [i32; N as usize],",
            "pub g: [i32; 4],",
            "pub h: Vec<i32>,",
            "h: from.array_of(N as usize, |from| from.i32())?,",
            "i: from.array_of(u32::MAX as usize, |from| from.i32())?,",
            "pub j: Option<i32>,",
            "pub k: Vec<Node>,",
            "pub l: Option<Box<Tree>>,",
            "pub m: Vec<Node>,",
            "k: from.list_of(Node::decode)?,",
            "m: from.list_of_some(Node::decode)?,",
            "pub n: [u8; N as usize],",
            "pub o: Opaque<'a>,",
            "o: from.opaque_exact(2000)?,",
            "p: from.opaque(N as usize)?,",
            "pub q: Text<'a>,",
            "pub r: Vec<Three>,",
            "pub s: Vec<i32>,",
            "pub struct Node {\n    /// `int v`\n    pub v: i32,\n}",
        ],
    );
}

#[test]
fn types_borrow_only_where_there_is_something_to_borrow() {
    let text = "struct a { string s<>; }; struct b { a *x; }; struct c { int y; };
        struct p { q *q; }; struct q { p *p; a a; };";
    let parts = ["struct A<'a>", "struct B<'a>", "struct C {", "struct P<'a>", "struct Q<'a>"];
    becomes(text, &parts);
}

#[test]
fn unions_take_several_labels_defaults_and_true_and_false() {
    let text = "enum e { A, B, C, D }; union u switch (e x) { case A: case B: int i; case C: void;
        default: hyper h; }; union v switch (bool x) { case TRUE: int i; case FALSE: void; };
        union w switch (int x) { case -2: case 0x10: int i; };";
    becomes(
        text,
        &[
            "    A(i32),\n",
            "    B(i32),\n",
            "    C,\n",
            "    Default(E, i64),\n",
            "    True(i32),\n",
            "    False,\n",
            "    CaseMinus2(i32),\n",
            "    Case16(i32),\n",
            "case => Err(Fault::Arm(i64::from(case))),",
        ],
    );
}

#[test]
fn names_of_an_enum_with_one_value_are_one_variant() {
    becomes(
        "enum e { A = 1, B = A, C };",
        &["    A = 1,\n", "pub const B: Self = Self::A;", "    C = 2,\n"],
    );
}

#[test]
fn keywords_and_names_that_collide_get_an_underscore() {
    becomes(
        "struct vec { int type; int Type; int self; }; struct Vec { int x; };
         struct option { Vec *v; };",
        &[
            "pub struct Vec_ {",
            "pub struct Vec__ {",
            "pub struct Option_ {",
            "pub type_: i32",
            "pub type__: i32",
            "pub self_: i32",
            "pub v: Option<Vec__>",
        ],
    );
}

#[test]
fn programs_have_versions_procedures_and_arguments() {
    becomes(
        "typedef string name<8>; program P { version V2 { name F(string a, int b, name) = 1; } = 2;
         version V1 { void NULL(void) = 0; void G() = 3; int H(int *) = 0x10; } = 1; }
         = 0x20000001;",
        &[
            "pub const P: u32 = 536870913;",
            "pub trait PV1 {",
            "pub trait PV2 {",
            "fn f(\n        &mut self,\n        call: &mut Asked<'_>,\n        \
             a: Text<'_>,\n        b: i32,\n        arg3: Name<'_>,\n    ) -> \
             Result<Name<'_>, Answer>;",
            "fn h(&mut self, call: &mut Asked<'_>, arg1: Option<i32>) -> Result<i32, Answer>;",
            "take: impl FnOnce(Name<'_>) -> R",
            "pub struct PServer<T>(pub T);",
            "procedures: &[ProcedureInfo::NULL, ProcedureInfo::new(1, \"F\")]",
        ],
    );
}

#[test]
fn a_body_behind_typedef_and_a_typedef_of_the_same_name_are_one_type() {
    let text = "struct a { int x; }; typedef struct a a; typedef struct { int y; } b; typedef b b;";
    becomes(text, &["pub struct A {", "pub struct B {"]);
}

#[test]
fn lines_of_c_stay_as_comments() {
    becomes(
        "%#include <x.h>\n%\n%#define X \\\n  1\nconst A = 1;",
        &["// %#include <x.h>\n// %\n// %#define X \\\n// %  1\n"],
    );
}

#[test]
fn lines_of_the_preprocessor_are_obeyed() {
    let text = "#define SIZE 3 /* of\n all */\n#ifdef RPC_HDR\n%c\n#else\nstruct bad {\n#endif
        #if defined(SIZE) && SIZE >= 3 && !defined NOT\ntypedef int a[SIZE];\n#elif 1\nbad\n#endif
        #undef SIZE\n#ifndef SIZE\nconst B = 1; // a comment\n#endif\n#ifdef X\n#if )(\n#endif\n\
        /* #endif */\n#endif\n#pragma x\n#ident \"x\"\n";
    becomes(text, &["// %c", "pub type A = [i32; 3];", "pub const B: u32 = 1;"]);
    let defines = vec![("X".to_owned(), "7".to_owned())];
    let options = Options { defines, ..Options::default() };
    let rust = generate("a.x", "const A = X;", &options).unwrap();
    assert!(rust.contains("pub const A: u32 = 7;"), "{rust}");
}

#[test]
fn files_are_included_from_beside_and_from_folders() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("included");
    std::fs::create_dir_all(folder.join("far")).unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).unwrap();
    write("a.x", "#include \"b.x\"\n#include <c.x>\nstruct a { b x; c y; };");
    write("b.x", "typedef int b;");
    write("far/c.x", "typedef hyper c;");
    let compile = |folders: Vec<_>| {
        let options = Options { includes: folders, ..Options::default() };
        generate_file(&folder.join("a.x"), &options)
    };
    let rust = compile(vec![folder.join("far")]).unwrap();
    assert!(rust.contains("pub x: B,") && rust.contains("pub y: C,"), "{rust}");
    let why = compile(vec![]).unwrap_err();
    assert!(why.contains("a.x:2:1: there is no c.x"), "{why}");
    write("b.x", "typedef\n  nowhere b;");
    let why = compile(vec![folder.join("far")]).unwrap_err();
    assert!(why.contains("b.x:2:3: `nowhere` is not defined"), "{why}");
    write("b.x", "#include \"b.x\"");
    let why = compile(vec![]).unwrap_err();
    assert!(why.contains("more than 16 files in each other"), "{why}");
}

#[test]
fn a_module_is_one_item_and_a_file_is_a_file() {
    let options = Options { form: Form::Module("x".to_owned()), ..Options::default() };
    let module = generate("a.x", "const A = 1;", &options).unwrap();
    assert!(module.contains("\npub mod x {\n") && module.contains("\n    pub const A: u32 = 1;"));
    assert!(compile("const A = 1;").starts_with("//! Types and procedures of `a.x`"));
}

#[test]
fn procedures_that_may_be_executed_twice_are_marked_in_all_versions() {
    let text = "program P { version V1 { int F(void) = 1; } = 1;
        version V2 { int F(void) = 1; void G(void) = 2; } = 2; } = 7;";
    let named = |name: &str| {
        generate("a.x", text, &Options { idempotent: vec![name.to_owned()], ..Options::default() })
    };
    let rust = named("F").unwrap();
    assert_eq!(rust.matches("ProcedureInfo::new(1, \"F\").idempotent()").count(), 2, "{rust}");
    assert!(!rust.contains("\"G\").idempotent()"), "{rust}");
    let why = named("H").unwrap_err().to_string();
    assert!(why.contains("H is no procedure"), "{why}");
}

/// What the .x files of the C library need that C finds in its headers.
const HEADERS: [(&str, &str); 4] = [
    ("key_prot.x", "const MAXNETNAMELEN = 255; struct des_block { opaque c[8]; };"),
    ("nlm_prot.x", "const LM_MAXSTRLEN = 1024; const MAXNAMELEN = 1025;"),
    ("nis_callback.x", "#include <rpcsvc/nis.x>"),
    ("", ""),
];

#[test]
fn every_file_of_the_c_library_compiles() {
    let Ok(folder) = std::fs::read_dir("/usr/include/rpcsvc") else {
        return eprintln!("skipped: every_file_of_the_c_library_compiles: no /usr/include/rpcsvc");
    };
    let scratch = Path::new(env!("CARGO_TARGET_TMPDIR")).join("rpcsvc");
    std::fs::create_dir_all(&scratch).unwrap();
    let files = folder.flatten().map(|entry| entry.path());
    let files: Vec<_> = files.filter(|path| path.extension().is_some_and(|e| e == "x")).collect();
    assert!(!files.is_empty());
    for file in files {
        let name = file.file_name().unwrap().to_str().unwrap();
        let header = HEADERS.iter().find(|(of, _)| *of == name).map_or("", |(_, text)| text);
        let wrapper = scratch.join(name);
        std::fs::write(&wrapper, format!("{header}\n#include <rpcsvc/{name}>\n")).unwrap();
        generate_file(&wrapper, &Options::default()).unwrap_or_else(|why| panic!("{why}"));
    }
}

#[test]
fn what_is_written_is_as_rustfmt_would_have_it() {
    let check = Path::new(env!("CARGO_MANIFEST_DIR")).join("check/x");
    for name in ["square.x", "types.x", "inline.x"] {
        let rust = generate_file(&check.join(name), &Options::default()).unwrap();
        let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name.replace(".x", ".rs"));
        std::fs::write(&out, rust).unwrap();
        let mut command = Command::new("rustfmt");
        command.args(["--check", "--edition", "2024", "--config"]);
        command.arg("max_width=100,use_small_heuristics=Max").arg(&out);
        let Ok(output) = command.stderr(Stdio::piped()).output() else {
            return eprintln!("skipped: what_is_written_is_as_rustfmt_would_have_it: no rustfmt");
        };
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    }
}
