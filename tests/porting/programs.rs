//! The ports as programs of their own: this binary once more, as a child.

use std::time::Duration;

use torsade::prelude::*;
use torsade::react;
use torsade::service::run_service_on;

use crate::mutants::{Mutant, Mutation};
use crate::support;

#[path = "../../examples/ports/agent/main.rs"]
#[allow(dead_code, reason = "it has a main of its own")]
mod agent;
#[path = "../../examples/ports/behind_proxy/main.rs"]
#[allow(dead_code, reason = "it has a main of its own")]
mod behind_proxy;
#[path = "../../examples/ports/chat/main.rs"]
#[allow(dead_code, reason = "it has a main of its own")]
mod chat;
#[path = "../../examples/chat_server.rs"]
#[allow(dead_code, reason = "it has a main of its own")]
mod chat_server;
#[path = "../../examples/ports/filter/main.rs"]
#[allow(dead_code, reason = "it has a main of its own")]
mod filter;
#[path = "../../examples/ports/leases/main.rs"]
#[allow(dead_code, reason = "it has a main of its own")]
mod leases;
#[path = "../../examples/ports/line_server/main.rs"]
#[allow(dead_code, reason = "it has a main of its own")]
mod line_server;
#[path = "../../examples/ports/metrics/main.rs"]
#[allow(dead_code, reason = "it has a main of its own")]
pub mod metrics;
#[path = "../../examples/ports/questions/main.rs"]
#[allow(dead_code, reason = "it has a main of its own")]
mod questions;
#[path = "../../examples/ports/relay/main.rs"]
#[allow(dead_code, reason = "it has a main of its own")]
mod relay;
#[path = "../../examples/ports/sums/main.rs"]
#[allow(dead_code, reason = "it has a main of its own")]
mod sums;
#[path = "../../examples/ports/transit_relay/main.rs"]
#[allow(dead_code, reason = "it has a main of its own")]
pub mod transit_relay;

/// The command of a port, with a fault that is planted in it or without one.
pub fn port(name: &str, mutation: Option<Mutation>) -> String {
    let address = if name == "metrics" { crate::metrics::options(";") } else { format!("{{{}}}", place(name)) };
    let this = std::env::current_exe().unwrap();
    let mutation = mutation.map_or(String::new(), |mutation| format!("{mutation:?}"));
    format!(
        "CHILD_OF={TEST} PORT={name} MUTATION={mutation} ADDRESS='{address}' '{}' {TEST} --exact --nocapture --test-threads=1",
        this.display()
    )
}

/// Whether it is a server or a client.
pub fn place(name: &str) -> &'static str {
    if matches!(name, "agent" | "questions" | "sums") { "peer" } else { "listen" }
}

const TEST: &str = "programs::one_of_a_pair";

/// No test but one of the programs, where this binary was started as one.
#[test]
fn one_of_a_pair() {
    if !support::is_child(TEST) {
        return;
    }
    let variable = |name| std::env::var(name).unwrap();
    let (address, mutation) = (variable("ADDRESS"), Mutation::named(&variable("MUTATION")));
    let reactor = Reactor::new().unwrap();
    let mutant = |factory| Mutant::new(factory, mutation);
    match &variable("PORT")[..] {
        "agent" => {
            let times = if mutation == Some(Mutation::ConnectsTwice) { 2 } else { 1 };
            (0..times).for_each(|_| agent::start(&reactor, &address).unwrap());
        }
        "behind_proxy" => {
            drop(reactor.listen(behind_proxy::endpoint(&address).unwrap(), mutant(boxed(behind_proxy::factory()))).unwrap())
        }
        "chat" => drop(reactor.listen(&address, mutant(boxed(chat::factory()))).unwrap()),
        "chat_server" => drop(chat_server::start(&reactor, &address).unwrap()),
        "filter" => drop(reactor.listen(&address, mutant(boxed(filter::factory()))).unwrap()),
        "leases" => return run_service_on(&reactor, leases::make_service(&address, mutant).unwrap(), Duration::ZERO).unwrap(),
        "line_server" => drop(reactor.listen(&address, mutant(boxed(line_server::factory()))).unwrap()),
        "metrics" => {
            let options = metrics::options::Options::parse(address.split(';').map(str::to_owned)).unwrap();
            return run_service_on(&reactor, metrics::make_service(&options, mutant).unwrap(), Duration::ZERO).unwrap();
        }
        "questions" => {
            // As its main does: the exit code is what becomes of it.
            let failed = react(|reactor| questions::conversation(reactor, address)).is_err();
            std::process::exit(i32::from(failed && mutation != Some(Mutation::ClaimsSuccess)));
        }
        "sums" => {
            let failed = react(|reactor| async move { Ok(sums::conversation(&reactor, &address).await?) }).is_err();
            std::process::exit(i32::from(failed && mutation != Some(Mutation::ClaimsSuccess)));
        }
        "relay" => drop(reactor.listen(&address, mutant(boxed(relay::factory()))).unwrap()),
        "transit_relay" => {
            let usage =
                transit_relay::options::Options::parse(["--log-fd=1".into()]).and_then(|options| options.usage()).unwrap();
            drop(reactor.listen(&address, mutant(boxed(transit_relay::factory(usage)))).unwrap());
        }
        other => panic!("no port is called {other}"),
    }
    reactor.run().unwrap();
}

fn boxed(factory: impl Factory + 'static) -> Box<dyn Factory> {
    Box::new(factory)
}
