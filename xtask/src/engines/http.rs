//! As much HTTP as a proxy and a token server need: one request for each connection.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use crate::Outcome;

/// The head of a request.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) method: String,
    /// The path, with the query.
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, String)>,
}

impl Head {
    /// The value of a header, whose name is in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// The length of its body.
    pub(crate) fn len(&self) -> u64 {
        self.header("content-length").and_then(|len| len.parse().ok()).unwrap_or(0)
    }

    /// Reads one. `None` if the connection ends, or begins with anything else, TLS for example.
    fn read(input: &mut impl BufRead) -> io::Result<Option<Head>> {
        if !input.fill_buf()?.first().is_some_and(u8::is_ascii_uppercase) {
            return Ok(None);
        }
        let mut line = String::new();
        input.read_line(&mut line)?;
        let mut words = line.split_whitespace().map(str::to_owned);
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let mut head = Head { method, target, headers: Vec::new() };
        loop {
            let mut line = String::new();
            if input.read_line(&mut line)? == 0 {
                return Ok(None);
            }
            match line.trim_end().split_once(':') {
                Some((name, value)) => {
                    head.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
                }
                None => return Ok(Some(head)),
            }
        }
    }
}

/// Accepts connections at a free port of the loopback address until this process ends, and hands each request
/// to a thread of its own. Returns the address.
pub(crate) fn serve(
    answer: impl Fn(&Head, BufReader<TcpStream>, TcpStream) -> io::Result<()> + Send + Sync + 'static,
) -> Outcome<String> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?.to_string();
    let answer = Arc::new(answer);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let answer = answer.clone();
            thread::spawn(move || {
                let Ok(out) = stream.try_clone() else { return };
                let mut input = BufReader::new(stream);
                if let Ok(Some(head)) = Head::read(&mut input) {
                    // Who asked may end the connection at any time.
                    let _ = answer(&head, input, out);
                }
            });
        }
    });
    Ok(address)
}

/// Sends an answer, after which the connection ends.
pub(crate) fn reply(
    mut out: impl Write,
    head: &Head,
    status: &str,
    headers: &[&str],
    body: &str,
) -> io::Result<()> {
    let mut text = format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n", body.len());
    headers.iter().for_each(|header| text.push_str(&format!("{header}\r\n")));
    text.push_str("\r\n");
    if head.method != "HEAD" {
        text.push_str(body);
    }
    out.write_all(text.as_bytes())
}
