//! The texts that programs written with Twisted document or have as defaults can be parsed unchanged.
//!
//! Collected from the repositories of magic-wormhole-transit-relay (a1329c0), tahoe-lafs (f002fd0d) and buildbot (61f2f411).
//! scrapy (11079cb1) has none: it makes its endpoints from values.

use torsade::{EndpointProblem, prelude::*};

/// To listen on, and where the text is from.
const SERVERS: &[(&str, &str)] = &[
    (r"tcp:4001:interface=\:\:", "magic-wormhole-transit-relay: src/wormhole_transit_relay/server_tap.py, the default"),
    ("tcp:4001", "magic-wormhole-transit-relay: docs/running.md"),
    ("tcp:4002", "magic-wormhole-transit-relay: docs/running.md"),
    ("tcp:8088", "magic-wormhole-transit-relay: src/wormhole_transit_relay/test/test_backpressure.py"),
    ("tcp:80", "tahoe-lafs: docs/configuration.rst"),
    ("tcp:3456:interface=127.0.0.1", "tahoe-lafs: docs/configuration.rst, the default of web.port"),
    ("ssl:3456:privateKey=mykey.pem:certKey=cert.pem", "tahoe-lafs: docs/configuration.rst, docs/frontends/webapi.rst"),
    ("tcp:12345", "tahoe-lafs: docs/configuration.rst"),
    ("tcp:23456:interface=127.0.0.1", "tahoe-lafs: docs/configuration.rst"),
    // The documented address has only six groups, which is invalid; a `::` was inserted for the missing ones.
    (r"tcp6:interface=2600\:3c01\:\:f03c\:91ff\:fe93\:d272:3456", "tahoe-lafs: docs/configuration.rst"),
    ("tcp:interface=8.8.8.8:3456", "tahoe-lafs: docs/configuration.rst"),
    ("tcp6:12345", "tahoe-lafs: docs/configuration.rst"),
    ("tcp:8098", "tahoe-lafs: docs/configuration.rst"),
    ("tcp:34912", "tahoe-lafs: docs/configuration.rst"),
    ("tcp:2000:interface=127.0.0.1", "tahoe-lafs: docs/anonymity-configuration.rst"),
    ("tcp:3457:interface=203.0.113.1", "tahoe-lafs: docs/servers.rst"),
    ("tcp6:3457", "tahoe-lafs: docs/servers.rst"),
    (r"tcp6:3457:interface=2001\:db8\:\:1", "tahoe-lafs: docs/servers.rst"),
    ("tcp:8022:interface=127.0.0.1", "tahoe-lafs: docs/frontends/FTP-and-SFTP.rst"),
    ("tcp:port=0", "tahoe-lafs: src/allmydata/node.py"),
    ("unix:/var/tahoe/socket", "tahoe-lafs: src/allmydata/test/cli/test_create.py"),
    ("tcp:10000:interface=127.0.0.1", "buildbot: master/docs/manual/configuration/global.rst"),
    ("ssl:9989:privateKey=master.key:certKey=master.crt", "buildbot: master/docs/manual/configuration/global.rst"),
    ("tcp:1234:interface=127.0.0.1", "buildbot: master/docs/manual/configuration/manhole.rst"),
    ("tcp:12345:interface=127.0.0.1", "buildbot: master/docs/relnotes/0.7.2.txt"),
    ("tcp:0:interface=127.0.0.1", "buildbot: master/buildbot/www/service.py"),
    (
        "ssl:port=0:certKey=pub.pem:privateKey=priv.pem:interface=127.0.0.1",
        "buildbot: master/buildbot/test/integration/worker/test_comm.py",
    ),
];

/// To connect to, and where the text is from.
const CLIENTS: &[(&str, &str)] = &[
    ("tcp:transit.magic-wormhole.io:4001", "magic-wormhole-transit-relay: docs/running.md"),
    ("tcp:localhost:4001", "magic-wormhole-transit-relay: client.py"),
    ("tcp:127.0.0.1:9051", "tahoe-lafs: src/allmydata/scripts/create_node.py, Tor's control port"),
    ("unix:/var/run/tor/control", "tahoe-lafs: src/allmydata/scripts/create_node.py"),
    ("unix://var/run/tor/control", "tahoe-lafs: docs/configuration.rst"),
    ("tcp:localhost:9051", "tahoe-lafs: docs/configuration.rst"),
    ("tcp:127.0.0.1:7656", "tahoe-lafs: src/allmydata/scripts/create_node.py, I2P's SAM port"),
    ("tcp:tahoe.example.org:12345", "tahoe-lafs: docs/configuration.rst, a hint of where a node is"),
    ("tcp:123.45.67.89:8098", "tahoe-lafs: docs/configuration.rst, likewise"),
    ("TLS:buildbot-master.com:9989", "buildbot: master/docs/manual/installation/worker.rst"),
    ("TLS:buildbot-master.com:9989:trustRoots=/dir-with-ca-certs", "buildbot: master/docs/manual/installation/worker.rst"),
    ("TCP:buildbot-master.com:9989", "buildbot: master/docs/manual/installation/worker.rst"),
    ("tcp:host=localhost:port=9010", "buildbot: worker/buildbot_worker/test/unit/test_bot_Worker.py"),
    ("tcp:host=abc:123", "buildbot: worker/buildbot_worker/test/unit/test_util.py"),
    ("tcp:abc:port=123", "buildbot: worker/buildbot_worker/test/unit/test_util.py"),
    ("tls:host=abc:port=123", "buildbot: worker/buildbot_worker/test/unit/test_util.py"),
    ("ssl:host=127.0.0.1:port=9989", "buildbot: master/buildbot/test/integration/worker/test_comm.py"),
];

/// Types added by other packages: txtorcon, txi2p.
const ADDED: &[(&str, &str)] = &[
    ("tor:u33m4y7klhz3b.onion:1000", "tahoe-lafs: docs/configuration.rst"),
    ("tor:myservice.onion:12345", "tahoe-lafs: src/allmydata/test/cli/test_create.py"),
    ("i2p:c2ng2pbrmxmlwpijn", "tahoe-lafs: docs/configuration.rst"),
];

#[test]
fn the_texts_that_programs_of_twisted_document_are_read() {
    for (text, place) in SERVERS {
        text.parse::<ServerEndpoint>().unwrap_or_else(|error| panic!("{error} ({place})"));
    }
    for (text, place) in CLIENTS {
        text.parse::<ClientEndpoint>().unwrap_or_else(|error| panic!("{error} ({place})"));
    }
}

#[test]
fn a_type_that_another_package_adds_is_refused_with_the_way_to_add_it() {
    for (text, place) in ADDED {
        let error = text.parse::<ClientEndpoint>().expect_err(place);
        assert!(matches!(error.problem(), EndpointProblem::UnknownType { .. }), "{error}");
        assert!(error.remedy().contains("register_endpoint_parser"), "{error}");
    }
}
