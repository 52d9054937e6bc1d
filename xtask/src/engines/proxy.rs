//! A proxy in front of a registry, which may do to requests what proxies do.

use std::io::{self, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use super::http::{Head, reply, serve};
use crate::Outcome;

/// What becomes of a request.
#[derive(Clone, Debug)]
pub(crate) enum Fate {
    /// The registry gets it.
    Pass,
    /// The registry gets it a moment later.
    Late(Duration),
    /// It is answered with this status and these headers, and not read further.
    Answer(&'static str, Vec<String>),
    /// The registry gets so much of the body; then both connections end.
    Cut(u64),
    /// The registry gets so much of the body, and then nothing happens until the other side ends the
    /// connection.
    Hold(u64),
    /// The registry gets it, and its answer is lost: nothing happens any more.
    Mute,
}

/// A proxy, until this process ends.
pub(crate) struct Proxy {
    address: String,
    seen: Arc<Mutex<Vec<Head>>>,
    halted: Arc<AtomicBool>,
}

impl Proxy {
    /// Starts one before a registry that speaks plain HTTP. `fate` is asked with the number of the request,
    /// from 0.
    pub(crate) fn start(
        registry: &str,
        fate: impl Fn(usize, &Head) -> Fate + Send + Sync + 'static,
    ) -> Outcome<Self> {
        let (seen, halted) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (kept, flag, registry) = (seen.clone(), halted.clone(), registry.to_owned());
        let address = serve(move |head, input, out| {
            let at = {
                let mut seen = locked(&kept);
                seen.push(head.clone());
                seen.len() - 1
            };
            through(head, input, out, &registry, &fate(at, head), &flag)
        })?;
        Ok(Proxy { address, seen, halted })
    }

    /// `127.0.0.1:PORT`.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Whether a request has come to [`Fate::Hold`] or [`Fate::Mute`].
    pub(crate) fn has_halted(&self) -> bool {
        self.halted.load(Ordering::SeqCst)
    }

    /// The requests so far.
    pub(crate) fn seen(&self) -> Vec<Head> {
        locked(&self.seen).clone()
    }
}

fn locked(seen: &Mutex<Vec<Head>>) -> MutexGuard<'_, Vec<Head>> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

fn through(
    head: &Head,
    mut input: BufReader<TcpStream>,
    mut out: TcpStream,
    registry: &str,
    fate: &Fate,
    halted: &AtomicBool,
) -> io::Result<()> {
    let (len, announced) = (head.len(), head.header("expect").is_some());
    if let Fate::Late(pause) = fate {
        thread::sleep(*pause);
    }
    if let Fate::Answer(status, headers) = fate {
        let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
        if !announced {
            io::copy(&mut input.by_ref().take(len), &mut io::sink())?;
        }
        return reply(out, head, status, &headers, "");
    }
    if announced {
        out.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    let mut registry = TcpStream::connect(registry)?;
    let mut text = format!("{} {} HTTP/1.1\r\nConnection: close\r\n", head.method, head.target);
    for (name, value) in head.headers.iter().filter(|(name, _)| !["connection", "expect"].contains(&&**name))
    {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    registry.write_all(format!("{text}\r\n").as_bytes())?;
    let passed = match fate {
        Fate::Cut(after) | Fate::Hold(after) => len.min(*after),
        _ => len,
    };
    io::copy(&mut input.by_ref().take(passed), &mut registry)?;
    match fate {
        Fate::Cut(_) => {
            registry.shutdown(Shutdown::Both)?;
            return out.shutdown(Shutdown::Both);
        }
        Fate::Hold(_) => {
            halted.store(true, Ordering::SeqCst);
            io::copy(&mut input, &mut io::sink())?;
            return registry.shutdown(Shutdown::Both);
        }
        Fate::Mute => {
            io::copy(&mut registry, &mut io::sink())?;
            halted.store(true, Ordering::SeqCst);
            return io::copy(&mut input, &mut io::sink()).map(drop);
        }
        _ => {}
    }
    io::copy(&mut registry, &mut out)?;
    out.shutdown(Shutdown::Write)
}
