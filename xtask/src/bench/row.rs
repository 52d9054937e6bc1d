//! Programs that run in turn, and the results.

use std::fs;

use super::Bench;
use super::measure::{Contender, Place, Run, clear, medians};
use crate::Outcome;

/// A comparison to make.
pub(crate) struct Spec {
    pub(crate) what: &'static str,
    pub(crate) own: Contender,
    pub(crate) peers: Vec<Contender>,
    pub(crate) place: Place,
    /// Goals other than ratios of times.
    pub(crate) goals: fn(&Row) -> Vec<Goal>,
}

/// The result of a comparison: layerlift first, then each peer.
pub(crate) struct Row {
    pub(crate) what: String,
    pub(crate) own: Run,
    pub(crate) peers: Vec<Peer>,
    /// Bytes that layerlift wrote.
    pub(crate) bytes: u64,
    /// Temporary bytes of each program, layerlift's first.
    pub(crate) temporary: Vec<u64>,
    pub(crate) goals: Vec<Goal>,
}

/// Another program in a row.
pub(crate) struct Peer {
    pub(crate) what: String,
    pub(crate) run: Run,
    /// The largest allowed ratio of layerlift's time to the peer's.
    pub(crate) goal: Option<f64>,
}

/// A value and its limit.
#[derive(Clone, Copy)]
pub(crate) struct Goal {
    pub(crate) what: &'static str,
    pub(crate) value: f64,
    pub(crate) limit: f64,
}

impl Spec {
    /// Runs each program once to warm the cache, then all of them in turn.
    pub(crate) fn measure(&self, bench: &Bench, cold: bool) -> Outcome<Option<Row>> {
        let what = format!("{}{}", self.what, if cold { ", cold cache" } else { "" });
        if !bench.wants(&[&*what]) {
            return Ok(None);
        }
        println!("measuring: {what}");
        let place = Place { cold, ..self.place.clone() };
        let contenders: Vec<&Contender> = std::iter::once(&self.own).chain(&self.peers).collect();
        let mut runs: Vec<Vec<Run>> = vec![Vec::new(); contenders.len()];
        let mut temporary = Vec::new();
        let mut bytes = 0;
        for contender in &contenders {
            temporary.push(contender.temporary(&place, &bench.temporary)?);
            if bytes == 0 {
                bytes = fs::metadata(&place.out).map_or(0, |metadata| metadata.len());
            }
            clear(&place.out)?;
        }
        for _ in 0..bench.runs {
            for (index, contender) in contenders.iter().enumerate() {
                runs[index].push(contender.run(&place)?);
                clear(&place.out)?;
            }
        }
        let mut medians = runs.iter().map(|runs| medians(runs));
        let own = medians.next().unwrap_or_default();
        let peers = self.peers.iter().zip(medians);
        let peers = peers.map(|(peer, run)| Peer { what: peer.what.clone(), run, goal: peer.goal }).collect();
        let mut row = Row { what, own, peers, bytes, temporary, goals: Vec::new() };
        if !cold {
            row.goals = (self.goals)(&row);
        }
        Ok(Some(row))
    }
}
