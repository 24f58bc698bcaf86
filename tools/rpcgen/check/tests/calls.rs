//! Generated clients and servers: with each other, and with those that C's rpcgen writes, over TCP
//! of the kernel.

#[path = "kit/build.rs"]
mod build;
#[path = "kit/wire.rs"]
mod wire;

use millstream_onc::message::Outcome;
use millstream_onc::program::{Answer, Asked};
use millstream_onc::xdr::{Encode, Text};
use millstream_onc::{Caller, Registry, Ticket};
use millstream_rpcgen_check::square::*;
use millstream_rpcgen_check::types::*;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use wire::{Failed, Wire};

/// Squares; keeps the ticket of the number 0 until the next call.
#[derive(Default)]
struct Squares {
    kept: Option<Ticket>,
}

impl Squares {
    fn square(&mut self, call: &mut Asked<'_>, arg: SquareIn) -> Result<SquareOut, Answer> {
        if arg.arg1 == 0 {
            self.kept = Some(call.ticket());
            return Err(Answer::Later);
        }
        if let Some(kept) = self.kept.take() {
            std::thread::spawn(move || kept.answer(|to| SquareOut { res1: -1 }.encode(to)));
        }
        let res1 = arg.arg1.checked_mul(arg.arg1).ok_or(Answer::SystemErr)?;
        Ok(SquareOut { res1 })
    }
}

impl SquareProgV1 for Squares {
    fn squareproc(&mut self, call: &mut Asked<'_>, arg: SquareIn) -> Result<SquareOut, Answer> {
        self.square(call, arg)
    }
}

impl SquareProgV2 for Squares {
    fn squareproc(&mut self, call: &mut Asked<'_>, arg: SquareIn) -> Result<SquareOut, Answer> {
        self.square(call, arg)
    }

    fn squarelong(&mut self, _: &mut Asked<'_>, arg: i32) -> Result<i64, Answer> {
        Ok(i64::from(arg).pow(2))
    }
}

fn squares() -> SocketAddr {
    let registry = Registry::default();
    assert!(registry.register(Box::new(SquareProgServer(Squares::default()))).is_ok());
    wire::serve(registry)
}

#[test]
fn a_client_calls_every_version_of_a_program() {
    let wire = Wire::connect(squares());
    let mut one = SquareProgV1Client::new(wire);
    assert_eq!(one.squareproc(&SquareIn { arg1: 12 }).unwrap().res1, 144);
    let mut two = SquareProgV2Client::new(one.into_caller());
    two.squarenull().unwrap();
    assert_eq!(two.squareproc(&SquareIn { arg1: -3 }).unwrap().res1, 9);
    assert_eq!(two.squarelong(1 << 20).unwrap(), 1 << 40);
}

#[test]
fn calls_are_under_way_together_and_one_that_answers_late_holds_up_none() {
    let mut client = SquareProgV1Client::new(Wire::connect(squares()));
    let mut start = |arg1| client.start_squareproc(&SquareIn { arg1 }).unwrap();
    let (late, second, third) = (start(0), start(2), start(3));
    assert_eq!(client.finish_squareproc(third).unwrap().res1, 9);
    assert_eq!(client.finish_squareproc(second).unwrap().res1, 4);
    assert_eq!(client.finish_squareproc(late).unwrap().res1, -1);
}

#[test]
fn what_a_server_refuses_the_client_is_told() {
    let mut client = SquareProgV1Client::new(Wire::connect(squares()));
    let refused = client.squareproc(&SquareIn { arg1: i32::MAX });
    assert!(matches!(refused, Err(Failed::Refused(Outcome::SystemErr))));
    let mut wire = client.into_caller();
    for (version, number, outcome) in [
        (1, 1, Outcome::GarbageArgs),
        (1, 7, Outcome::ProcUnavail),
        (0, 0, Outcome::ProgMismatch { low: 1, high: 2 }),
        (3, 0, Outcome::ProgMismatch { low: 1, high: 2 }),
    ] {
        let to = millstream_onc::caller::Procedure { program: SQUARE_PROG, version, number };
        let refused = wire.call(to, |_| Ok(()), |_| Ok(()));
        assert!(matches!(refused, Err(Failed::Refused(is)) if is == outcome), "{refused:?}");
    }
    // Procedure 0 is there though the file does not name it.
    let null = millstream_onc::caller::Procedure { program: SQUARE_PROG, version: 1, number: 0 };
    wire.call(null, |_| Ok(()), |_| Ok(())).unwrap();
}

/// Gives back what it is given; counts batches.
#[derive(Default)]
struct Echo {
    batches: i32,
    kept: String,
}

impl TypesProgV1 for Echo {
    fn types_numbers(&mut self, _: &mut Asked<'_>, arg: Numbers) -> Result<Numbers, Answer> {
        Ok(arg)
    }

    fn types_octets(&mut self, _: &mut Asked<'_>, arg: Octets<'_>) -> Result<Octets<'_>, Answer> {
        self.kept = arg.who.to_string();
        Ok(Octets {
            fixed: arg.fixed,
            limited: arg.limited.into_owned(),
            open: arg.open.into_owned(),
            limited_text: arg.limited_text.into_owned(),
            open_text: arg.open_text.into_owned(),
            sum: arg.sum,
            // Results may borrow from the server.
            who: Text::from(&*self.kept),
        })
    }

    fn types_arrays(&mut self, _: &mut Asked<'_>, _: Arrays<'_>) -> Result<Arrays<'_>, Answer> {
        Err(Answer::NoProcedure)
    }

    fn types_shape(&mut self, _: &mut Asked<'_>, arg: Shape<'_>) -> Result<Shape<'_>, Answer> {
        match arg {
            Shape::Red(red) => Ok(Shape::Red(red + 1)),
            // Not what the type allows: the server's mistake.
            _ => Ok(Shape::Green("more than twelve".into())),
        }
    }

    fn types_answer(&mut self, _: &mut Asked<'_>, _: Answer_<'_>) -> Result<Answer_<'_>, Answer> {
        Ok(Answer_::Case0("found".into()))
    }

    fn types_holder(&mut self, _: &mut Asked<'_>, _: Holder<'_>) -> Result<Holder<'_>, Answer> {
        Err(Answer::NoProcedure)
    }

    fn types_join(
        &mut self,
        _: &mut Asked<'_>,
        a: Text<'_>,
        b: Text<'_>,
        n: i32,
    ) -> Result<Text<'_>, Answer> {
        Ok(format!("{a}{b}").repeat(n as usize).into())
    }

    fn types_add(&mut self, _: &mut Asked<'_>, a: i32, b: i32) -> Result<i32, Answer> {
        Ok(a + b + self.batches)
    }

    fn types_sort(
        &mut self,
        _: &mut Asked<'_>,
        list: Vec<Entry<'_>>,
    ) -> Result<Vec<Entry<'_>>, Answer> {
        let owned = list.into_iter().map(|e| Entry { id: e.id, label: e.label.into_owned() });
        let mut sorted: Vec<Entry<'_>> = owned.collect();
        sorted.sort_by_key(|entry| entry.id);
        Ok(sorted)
    }

    fn types_name(&mut self, _: &mut Asked<'_>, arg: Name<'_>) -> Result<Name<'_>, Answer> {
        Ok(arg.into_owned())
    }

    fn types_batch(&mut self, _: &mut Asked<'_>, arg: i32) -> Result<(), Answer> {
        self.batches += arg;
        Err(Answer::Silent)
    }
}

fn echo() -> TypesProgV1Client<Wire> {
    let registry = Registry::default();
    assert!(registry.register(Box::new(TypesProgServer(Echo::default()))).is_ok());
    TypesProgV1Client::new(Wire::connect(wire::serve(registry)))
}

#[test]
fn procedures_take_several_arguments_lists_and_strings() {
    let mut client = echo();
    client.types_null().unwrap();
    assert_eq!(client.types_add(2, 3).unwrap(), 5);
    let joined = client.types_join(&"a".into(), &"bc".into(), 2, |text| text.to_string());
    assert_eq!(joined.unwrap(), "abcabc");
    let list = [3, 1, 2].map(|id| Entry { id, label: "x".into() });
    let sorted = client.types_sort(&list, |list| list.iter().map(|e| e.id).collect::<Vec<_>>());
    assert_eq!(sorted.unwrap(), [1, 2, 3]);
    // Its result must have an entry.
    let empty = client.types_sort(&[], |_| ());
    assert!(matches!(empty, Err(Failed::Refused(Outcome::SystemErr))));
    let name = "x".repeat(256);
    let long = client.types_name(&name.as_str().into(), |_| ());
    assert!(matches!(long, Err(Failed::Fault(_))), "not even sent");
}

#[test]
fn results_that_are_not_of_their_type_are_the_servers_fault() {
    let mut client = echo();
    let red = client.types_shape(&Shape::Red(1), |shape| format!("{shape:?}"));
    assert_eq!(red.unwrap(), "Red(2)");
    let wrong = client.types_shape(&Shape::Default(Color::Dark), |_| ());
    assert!(matches!(wrong, Err(Failed::Refused(Outcome::SystemErr))));
}

#[test]
fn a_batch_is_not_answered_and_the_next_call_is() {
    let mut client = echo();
    for _ in 0..1000 {
        client.send_types_batch(1).unwrap();
    }
    assert_eq!(client.types_add(0, 0).unwrap(), 1000);
}

#[test]
fn a_client_of_c_calls_our_server() {
    let Some(client) = build::program("a_client_of_c", "square.x", "client.c", &["clnt"]) else {
        return;
    };
    let output = Command::new(client).arg(squares().port().to_string()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(text, "144\n0\n1099511627776\nmismatch 1 2\n", "{output:?}");
}

#[test]
fn our_client_calls_a_server_of_c() {
    let Some(server) = build::program("our_client", "square.x", "server.c", &["svc"]) else {
        return;
    };
    let mut child = Command::new(server).stdout(Stdio::piped()).spawn().unwrap();
    let mut port = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut port).unwrap();
    let at: SocketAddr = format!("127.0.0.1:{}", port.trim()).parse().unwrap();
    let mut one = SquareProgV1Client::new(Wire::connect(at));
    let squared: Vec<i32> = {
        let tokens: Vec<u32> =
            (1..20).map(|arg1| one.start_squareproc(&SquareIn { arg1 }).unwrap()).collect();
        tokens.into_iter().map(|token| one.finish_squareproc(token).unwrap().res1).collect()
    };
    assert!(squared.into_iter().eq((1..20).map(|n| n * n)));
    let mut two = SquareProgV2Client::new(one.into_caller());
    two.squarenull().unwrap();
    assert_eq!(two.squarelong(1 << 20).unwrap(), 1 << 40);
    child.kill().unwrap();
    child.wait().unwrap();
}
