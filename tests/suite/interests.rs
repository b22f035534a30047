//! What is not wanted is not computed, and what is wanted is the same all the same.

use crate::fixture;
use crate::packets::OwnedPacket;
use zmtpscope::analyze::connection::ConnectionSummary;
use zmtpscope::analyze::engine::{Analyzer, Options};
use zmtpscope::analyze::observer::{Interest, Observer};
use zmtpscope::correlate::findings::Finding;
use zmtpscope::correlate::path::Path;

/// What there is however little is wanted, and paths, as the library's own `Debug` shows them.
#[derive(Default)]
struct Told {
    interest: Interest,
    rest: Vec<String>,
    paths: Vec<String>,
}

impl Observer for Told {
    fn interest(&self) -> Interest {
        self.interest
    }

    fn path(&mut self, path: Path) {
        self.paths.push(format!("{path:?}"));
    }

    fn connection(&mut self, summary: &ConnectionSummary) {
        self.rest.push(format!("{summary:?}"));
    }

    fn finding(&mut self, finding: &Finding) {
        self.rest.push(format!("{finding:?}"));
    }
}

fn told(options: Options, interest: Interest, packets: &[OwnedPacket]) -> Told {
    let mut analyzer = Analyzer::new(options, Told { interest, ..Told::default() });
    for packet in packets {
        analyzer.packet(&packet.packet());
    }
    analyzer.finish().0
}

#[test]
fn what_else_is_wanted_changes_nothing() {
    let mut any_paths = false;
    for fixture in fixture::all() {
        let packets = fixture.packets();
        // All of it, without its beginning, and with holes.
        let late: Vec<_> = packets.iter().skip(packets.len() / 3).cloned().collect();
        let lossy: Vec<_> =
            packets.iter().enumerate().filter(|(at, _)| at % 17 != 16).map(|(_, p)| p.clone()).collect();
        for packets in [packets, late, lossy] {
            let told = |interest| told(fixture.options(), interest, &packets);
            let all = told(Interest { paths: true, ..Interest::default() });
            let paths = told(Interest::PATHS);
            assert_eq!(paths.rest, all.rest, "{}", fixture.name);
            assert_eq!(paths.paths, all.paths, "{}", fixture.name);
            assert_eq!(told(Interest::NOTHING_ELSE).rest, all.rest, "{}", fixture.name);
            any_paths |= !all.paths.is_empty();
        }
    }
    assert!(any_paths, "the fixtures have paths");
}
