//! The ports as programs of their own: this binary once more, as a child.
#![allow(dead_code, reason = "examples have mains of their own")]

use std::time::Duration;

use torsade::prelude::*;
use torsade::react;
use torsade::service::run_service_on;

use crate::mutants::{Mutant, Mutation};
use crate::support;

#[path = "../../examples/ports/agent/main.rs"]
mod agent;
#[path = "../../examples/ports/behind_proxy/main.rs"]
mod behind_proxy;
#[path = "../../examples/ports/chat/main.rs"]
mod chat;
#[path = "../../examples/chat_server.rs"]
mod chat_server;
#[path = "../../examples/ports/filter/main.rs"]
mod filter;
#[cfg(feature = "tls")]
#[path = "../../examples/ports/guests/main.rs"]
mod guests;
#[path = "../../examples/ports/leases/main.rs"]
mod leases;
#[path = "../../examples/ports/line_server/main.rs"]
mod line_server;
#[cfg(feature = "tls")]
#[path = "../../examples/make_keys.rs"]
pub mod make_keys;
#[path = "../../examples/ports/metrics/main.rs"]
pub mod metrics;
#[path = "../../examples/ports/questions/main.rs"]
mod questions;
#[path = "../../examples/ports/relay/main.rs"]
mod relay;
#[path = "../../examples/ports/sums/main.rs"]
mod sums;
#[path = "../../examples/ports/transit_relay/main.rs"]
pub mod transit_relay;

/// The command of a port, with a fault that is planted in it or without one.
pub fn port(name: &str, mutation: Option<Mutation>) -> String {
    port_with(name, &format!("{{{}}}", place(name)), mutation)
}

/// The same for one that takes more than an address; arguments are divided by semicolons.
pub fn port_with(name: &str, arguments: &str, mutation: Option<Mutation>) -> String {
    let this = std::env::current_exe().unwrap();
    let mutation = mutation.map_or(String::new(), |mutation| format!("{mutation:?}"));
    format!(
        "CHILD_OF={TEST} PORT={name} MUTATION={mutation} ARGUMENTS='{arguments}' '{}' {TEST} --exact --nocapture --test-threads=1",
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
    let (arguments, mutation) = (variable("ARGUMENTS"), Mutation::named(&variable("MUTATION")));
    let arguments: Vec<_> = arguments.split(';').map(str::to_owned).collect();
    let address = arguments[0].clone();
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
        #[cfg(feature = "tls")]
        "guests" => {
            let [address, keys, guests @ ..] = &arguments[..] else { panic!("too few arguments") };
            let config = match mutation {
                Some(Mutation::TakesThoseWithoutACertificate) => without_certificates(keys),
                _ => guests::config(keys),
            };
            let config = config.unwrap();
            drop(reactor.listen_tls(address, &config, mutant(boxed(guests::factory(guests)))).unwrap());
        }
        "leases" => return run_service_on(&reactor, leases::make_service(&address, mutant).unwrap(), Duration::ZERO).unwrap(),
        "line_server" => drop(reactor.listen(&address, mutant(boxed(line_server::factory()))).unwrap()),
        "metrics" => {
            let options = metrics::options::Options::parse(arguments).unwrap();
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

/// How the guests' server speaks TLS with a fault: it asks for certificates, and does not insist.
#[cfg(feature = "tls")]
fn without_certificates(keys: &str) -> Result<TlsServerConfig> {
    let own = PrivateCertificate::from_pem_files(format!("{keys}/server.pem"), format!("{keys}/server.key"))?;
    let authority = TrustRoots::from_pem_file(format!("{keys}/ca.pem"))?;
    Ok(TlsServerConfig::builder().certificate(own).request_client_certificates(authority).build()?)
}
