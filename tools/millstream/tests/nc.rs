//! `millstream nc` against the kernel's sockets, both ways.

mod kit;

use kit::{LONG, Lab, wait_for};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream, UdpSocket};
use std::process::{Child, Output, Stdio};

const NC: &str = "nc --tap tap0 --host 10.9.0.1/24 --addr 10.9.0.2/24 ";

/// Starts nc in the namespace, its input and output piped.
fn nc(lab: &Lab, words: &str) -> Child {
    let mut command = lab.command(&format!("{NC}{words}"));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    lab.netns.run(|| command.spawn()).unwrap().unwrap()
}

/// Gives it this input, and waits for its end.
fn finish(mut nc: Child, input: &[u8]) -> Output {
    nc.stdin.take().unwrap().write_all(input).unwrap();
    nc.wait_with_output().unwrap()
}

/// Sets the host's side up beforehand, so that sockets can be bound to it.
fn listener(lab: &Lab) -> TcpListener {
    lab.netns.run(|| TcpListener::bind("0.0.0.0:0")).unwrap().unwrap()
}

#[test]
fn nc_connects_sends_its_input_and_prints_what_comes() {
    let Some(lab) = Lab::new("nc_connects") else { return };
    let listener = listener(&lab);
    let nc = nc(&lab, &format!("10.9.0.1 {}", listener.local_addr().unwrap().port()));
    let data: Vec<u8> = (0..500_000_u32).map(|n| (n % 251) as u8).collect();
    let peer = std::thread::spawn(move || {
        let (mut socket, from) = listener.accept().unwrap();
        assert_eq!(from.ip().to_string(), "10.9.0.2");
        socket.write_all(b"hello\n").unwrap();
        let mut got = Vec::new();
        socket.read_to_end(&mut got).unwrap();
        got
    });
    let output = finish(nc, &data);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(output.stdout, b"hello\n");
    assert!(peer.join().unwrap() == data);
}

#[test]
fn nc_listens_for_one_connection_after_the_other() {
    let Some(lab) = Lab::new("nc_listens") else { return };
    let mut nc = nc(&lab, "-l -k 7777");
    let mut out = nc.stdout.take().unwrap();
    for text in ["first\n", "second\n"] {
        let mut socket = None;
        wait_for("nc to listen", || {
            socket = lab.netns.run(|| TcpStream::connect("10.9.0.2:7777")).unwrap().ok();
            socket.is_some()
        });
        let mut socket = socket.unwrap();
        socket.set_read_timeout(Some(LONG)).unwrap();
        socket.write_all(text.as_bytes()).unwrap();
        socket.shutdown(Shutdown::Write).unwrap();
        let mut got = vec![0; text.len()];
        out.read_exact(&mut got).unwrap();
        assert_eq!(got, text.as_bytes());
    }
    nc.kill().unwrap();
    nc.wait().unwrap();
}

#[test]
fn nc_says_whether_somebody_listens() {
    let Some(lab) = Lab::new("nc_z") else { return };
    let listener = listener(&lab);
    let port = listener.local_addr().unwrap().port();
    let output = finish(nc(&lab, &format!("-z 10.9.0.1 {port}")), b"");
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), format!("10.9.0.1:{port} is open\n"));
    drop(listener);
    let output = finish(nc(&lab, &format!("-z 10.9.0.1 {port}")), b"");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && text.contains("refused"), "{output:?}");
    let output = finish(nc(&lab, "-z -w 1 10.9.0.77 9"), b"");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
}

#[test]
fn nc_gives_up_a_silent_peer_and_refuses_what_is_no_place() {
    let Some(lab) = Lab::new("nc_w") else { return };
    let listener = listener(&lab);
    let port = listener.local_addr().unwrap().port();
    let output = finish(nc(&lab, &format!("-w 1 10.9.0.1 {port}")), b"x");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && text.contains("within 1 s"), "{output:?}");
    for words in ["10.9.0.1", "10.9.0.1 0", "nobody 7", "-z -l 7", "-k 10.9.0.1 7"] {
        let (code, text) = lab.fails(&format!("{NC}{words}"));
        assert_eq!(code, 2, "{words}: {text}");
    }
}

#[test]
fn nc_sends_and_prints_datagrams() {
    let Some(lab) = Lab::new("nc_u") else { return };
    let socket = lab.netns.run(|| UdpSocket::bind("0.0.0.0:0")).unwrap().unwrap();
    socket.set_read_timeout(Some(LONG)).unwrap();
    let port = socket.local_addr().unwrap().port();
    let mut nc = nc(&lab, &format!("-u -w 2 10.9.0.1 {port}"));
    nc.stdin.as_mut().unwrap().write_all(b"ask").unwrap();
    let mut datagram = [0; 64];
    let (n, from) = socket.recv_from(&mut datagram).unwrap();
    assert_eq!(&datagram[..n], b"ask");
    socket.send_to(b"answer", from).unwrap();
    let output = finish(nc, b"");
    assert!(output.status.success(), "{output:?}");
    assert_eq!(output.stdout, b"answer");
}
