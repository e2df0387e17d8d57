//! The examples as modules.
#![allow(dead_code, reason = "each has a main of its own")]

#[path = "../../../examples/twisted/chat.rs"]
pub mod chat;
#[path = "../../../examples/twisted/chatserver.rs"]
pub mod chatserver;
#[path = "../../../examples/twisted/echoclient.rs"]
pub mod echoclient;
#[path = "../../../examples/twisted/echoserv.rs"]
pub mod echoserv;
#[path = "../../../examples/twisted/finger02.rs"]
pub mod finger02;
#[path = "../../../examples/twisted/finger03.rs"]
pub mod finger03;
#[path = "../../../examples/twisted/finger04.rs"]
pub mod finger04;
#[path = "../../../examples/twisted/finger05.rs"]
pub mod finger05;
#[path = "../../../examples/twisted/finger06.rs"]
pub mod finger06;
#[path = "../../../examples/twisted/finger07.rs"]
pub mod finger07;
#[path = "../../../examples/twisted/finger08.rs"]
pub mod finger08;
#[path = "../../../examples/twisted/longex.rs"]
pub mod longex;
#[path = "../../../examples/twisted/remote_2.rs"]
pub mod remote_2;
#[path = "../../../examples/twisted/simpleclient.rs"]
pub mod simpleclient;
#[path = "../../../examples/twisted/simpleserv.rs"]
pub mod simpleserv;
#[path = "../../../examples/twisted/streaming.rs"]
pub mod streaming;
