//! What is wrong with a file is told with its line, its column and a caret; nothing panics.

use millstream_rpcgen::{Errors, Options, generate};
use proptest::prelude::*;

fn compile(text: &str) -> Result<String, Errors> {
    generate("a.x", text, &Options::default())
}

/// All that is told, a line each.
fn told(text: &str) -> Vec<String> {
    let errors = compile(text).map(|_| ()).expect_err(text);
    let one = |e: &millstream_rpcgen::Error| {
        format!("{}:{}:{}: {}", e.file, e.line, e.column, e.sentence)
    };
    errors.0.iter().map(one).collect()
}

#[test]
fn an_error_shows_the_line_and_a_caret() {
    let errors = compile("struct a {\n\tfoo  b;\n};\n").unwrap_err();
    assert_eq!(errors.to_string(), "a.x:2:2: `foo` is not defined\n    \tfoo  b;\n    \t^");
}

#[test]
fn each_mistake_is_told_at_its_place() {
    for (text, expected) in [
        // The grammar.
        ("foo", "1:1: here should be const, enum, struct, union, typedef or program"),
        ("struct a {", "1:11: the file ends where a type should be"),
        ("struct a { int b }", "1:18: `}` stands where `;` should be"),
        ("struct a { int b; }", "1:20: the file ends where `;` should be"),
        ("struct { int b; };", "1:8: `{` stands where the struct's name should be"),
        (
            "struct int { int b; };",
            "1:8: `int` is a word of the language, the struct's name is not",
        ),
        ("struct a { void; };", "1:12: void is no member"),
        ("struct a { string b; };", "1:19: a string has a length that may vary: <n> or <>"),
        ("struct a { string b[3]; };", "1:19: a string has a length that may vary: <n> or <>"),
        ("struct a { opaque b; };", "1:12: opaque needs a length: [n] or <n>"),
        ("struct a { int *b[3]; };", "1:18: what is optional is one: name the array by a typedef"),
        ("enum a { B, };", "1:13: `}` stands where a name of the enum should be"),
        (
            "union a switch (int b) { default: void; };",
            "1:26: `default` stands where `case` should be",
        ),
        ("typedef void;", "1:9: void has no name"),
        ("const A = ;", "1:11: `;` stands where a number or the name of one should be"),
        ("const A = 08;", "1:11: 08 is no octal number"),
        ("const A = 0x;", "1:11: 0x is no hexadecimal number"),
        ("const A = 12z;", "1:11: 12z is no decimal number"),
        ("const A = 0x1ffffffffffffffff;", "1:11: 0x1ffffffffffffffff has more than 64 bits"),
        ("const A = - 1;", "1:11: a number is missing behind `-`"),
        ("const A = \"b;", "1:11: the closing `\"` is missing"),
        ("const A = 'bc';", "1:11: one character stands between `'`"),
        ("int a @;", "1:7: '@' is not of the language"),
        ("/* int", "1:1: the comment has no end"),
        // Names and numbers.
        ("typedef int a; typedef int a;", "1:28: `a` is defined twice"),
        ("const A = 1; enum b { A };", "1:23: `A` is defined twice"),
        ("struct a { int b; int b; };", "1:23: `b` is there twice"),
        ("const A = B;", "1:11: `B` is no constant"),
        ("const A = B; const B = A;", "1:7: `A` stands for itself"),
        (
            "enum a { B = 2147483648 };",
            "1:10: 2147483648 does not fit into 32 bits, as a name of an enum",
        ),
        (
            "enum a { B = 2147483647, C };",
            "1:26: 2147483648 does not fit into 32 bits, as a name of an enum",
        ),
        ("const A = -9223372036854775809;", "1:7: -9223372036854775809 does not fit into 64 bits"),
        ("typedef int a[-1];", "1:15: -1 is no size: it is from 1 to 4294967295"),
        ("typedef int a[0];", "1:15: 0 is no size: it is from 1 to 4294967295"),
        ("typedef int a<4294967296>;", "1:15: 4294967296 is no size: it is from 0 to 4294967295"),
        ("typedef int a[B];", "1:15: `B` is no constant"),
        ("const B = 1; typedef B a;", "1:22: `B` is a constant, not a type"),
        // Unions.
        (
            "union a switch (int b) { case 1: int c; case 1: int d; };",
            "1:46: case 1 is there twice",
        ),
        ("union a switch (bool b) { case 2: int c; };", "1:32: 2 is no value of `b`"),
        ("union a switch (unsigned b) { case -1: int c; };", "1:36: -1 is no value of `b`"),
        ("enum e { E }; union a switch (e b) { case 1: int c; };", "1:43: 1 is no value of `b`"),
        (
            "union a switch (float b) { case 1: int c; };",
            "1:23: cases are told by an int, an unsigned, a bool or an enum",
        ),
        ("union a switch (int b) { case C: int c; };", "1:31: `C` is no constant"),
        ("union a switch (int b) { case 1: int c; case 2: int c; };", "1:53: `c` is there twice"),
        // Circles.
        ("struct a { a b; };", "1:8: `a` contains itself: use `*` or `<>`"),
        ("struct a { b c; }; struct b { a d[2]; };", "1:8: `a` contains itself: use `*` or `<>`"),
        ("typedef a b; typedef b a;", "1:11: `b` contains itself: use `*` or `<>`"),
        // Programs.
        (
            "program P { version V { void F(void) = 1; void F(int) = 2; } = 1; } = 1;",
            "1:48: procedure `F` is there twice",
        ),
        (
            "program P { version V { void F(void) = 1; void G(int) = 1; } = 1; } = 1;",
            "1:57: procedure 1 is there twice",
        ),
        (
            "program P { version V { void F(void) = -1; } = 1; } = 1;",
            "1:40: -1 is no number of a procedure: it has 32 bits",
        ),
        (
            "program P { version V { void F(opaque) = 1; } = 1; } = 1;",
            "1:32: opaque cannot be an argument: use a typedef",
        ),
        (
            "program P { version V { void F(int<3>) = 1; } = 1; } = 1;",
            "1:36: an array cannot be passed: use a typedef",
        ),
        ("program P { version V { void F(int, void) = 1; } = 1; } = 1;", "1:37: void stands alone"),
        ("program P { version V { a F(b) = 1; } = 1; } = 1;", "1:25: `a` is not defined"),
        // Lines of the preprocessor.
        ("#if 1\n", "1:1: #endif is missing"),
        ("#else\n", "1:1: #else without #if"),
        ("#endif\n", "1:1: #endif without #if"),
        ("#foo\n", "1:1: #foo is not known"),
        ("#define A(b) b\n", "1:1: A has arguments: no macro of .x files has"),
        ("#define A A\nconst B = A;", "2:11: `A` stands for itself"),
        ("#error no\n", "1:1: #error no"),
        ("#include \"b.x\"\n", "1:1: b.x is not read: the text is no file"),
        ("#include b.x\n", "1:1: #include needs \"FILE\" or <FILE>"),
        ("#if 1 +\n#endif\n", "1:1: `+` is not understood behind #if"),
    ] {
        assert_eq!(told(text)[0], format!("a.x:{expected}"), "{text}");
    }
}

#[test]
fn several_mistakes_are_told_at_once_in_order() {
    let told = told("struct a { b c; };\nstruct d { e f; };\n");
    assert_eq!(told, ["a.x:1:12: `b` is not defined", "a.x:2:12: `e` is not defined"]);
    let many: String = (0..100).map(|n| format!("typedef x{n} y{n};\n")).collect();
    assert_eq!(self::told(&many).len(), 20);
}

#[test]
fn lines_of_the_preprocessor_move_the_place() {
    let text = "int;\n";
    for line in ["# 10 \"b.x\"\n", "#line 10 \"b.x\"\n", "# 10 \"b.x\" 2\n"] {
        assert!(told(&format!("{line}{text}"))[0].starts_with("b.x:10:1: "));
    }
    assert!(told(&format!("# 10\n\n{text}"))[0].starts_with("a.x:11:1: "));
    assert!(told(&format!("\n# 1 \"b.x\"\n\n# 5 \"c.x\"\n{text}"))[0].starts_with("c.x:5:1: "));
}

#[test]
fn what_would_take_for_ever_or_all_memory_is_refused() {
    // Each name stands for two of the one before.
    let mut doubling = "#define A0\n#define B0 x\n".to_owned();
    for n in 1..31 {
        let before = n - 1;
        doubling +=
            &format!("#define A{n} A{before} A{before}\n#define B{n} B{before} B{before}\n");
    }
    assert!(told(&format!("{doubling}A30"))[0].ends_with("the file is too long"));
    assert!(told(&format!("{doubling}B30"))[0].ends_with("the file is too long"));
    // Bodies in bodies, types of types, arrays of arrays.
    let bodies = "struct a { ".to_owned() + &"struct { ".repeat(100_000);
    assert!(told(&bodies)[0].ends_with("more than 32 bodies deep"));
    let chain: String = (1..50_000).map(|n| format!("typedef t{} t{n};\n", n - 1)).collect();
    assert!(told(&format!("typedef int t0;\n{chain}"))[0].contains("more than 100 deep"));
    let arrays: String = (1..9).map(|n| format!("typedef t{} t{n}[60];\n", n - 1)).collect();
    assert!(told(&format!("typedef int t0;\n{arrays}"))[0].contains("KiB in place"));
    let circle: String =
        (0..500).map(|n| format!("struct s{n} {{ s{} *n; int i; }};", (n + 1) % 500)).collect();
    assert!(told(&circle)[0].contains("types in a circle"));
    let ifs = "#if 1\n".repeat(100_000);
    assert!(told(&ifs)[0].contains("more than 64 #if"));
    assert!(told(&format!("#if {}1\n", "!(".repeat(100_000)))[0].contains("more than 64 signs"));
    let large = " ".repeat((8 << 20) + 1);
    assert!(told(&large)[0].contains("larger than 8 MiB"));
    // A long chain of constants, against their order, is all right.
    let names: String = (0..50_000).map(|n| format!("const C{n} = C{};\n", n + 1)).collect();
    assert!(compile(&format!("{names}const C50000 = 1;")).is_ok());
}

proptest! {
    #[test]
    fn any_text_is_compiled_or_refused(text in "\\PC*") {
        let _ = compile(&text);
    }

    #[test]
    fn any_words_of_the_language_are_compiled_or_refused(
        words in prop::collection::vec(prop::sample::select(WORDS), 0..60),
    ) {
        let text = words.join(" ");
        if let Err(errors) = compile(&text) {
            prop_assert!(!errors.0.is_empty() && !errors.to_string().is_empty());
        }
    }
}

const WORDS: &[&str] = &[
    "const",
    "enum",
    "struct",
    "union",
    "switch",
    "case",
    "default",
    "typedef",
    "program",
    "version",
    "void",
    "int",
    "unsigned",
    "hyper",
    "string",
    "opaque",
    "bool",
    "quadruple",
    "a",
    "b",
    "c",
    "A",
    "B",
    "1",
    "2",
    "-1",
    "0x7",
    "{",
    "}",
    "{",
    "}",
    "(",
    ")",
    "[",
    "]",
    "<",
    ">",
    ";",
    ";",
    ";",
    ":",
    ",",
    "*",
    "=",
    "=",
    "\n#if 1\n",
    "\n#endif\n",
    "\n%x\n",
    "\n#define a b\n",
];
