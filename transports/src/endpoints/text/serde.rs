//! Endpoints in configuration files: as their text.

use std::fmt::Display;

use serde_core::{Deserialize, Deserializer, Serialize, Serializer, de, ser};

use super::kind::{TextEndpoint, parse};
use crate::endpoints::client::ClientEndpoint;
use crate::endpoints::server::ServerEndpoint;

/// As its text; an error if a part of it has none.
impl Serialize for ServerEndpoint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize(self, serializer)
    }
}

/// From its text.
impl<'de> Deserialize<'de> for ServerEndpoint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// As its text; an error if a part of it has none.
impl Serialize for ClientEndpoint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize(self, serializer)
    }
}

/// From its text.
impl<'de> Deserialize<'de> for ClientEndpoint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

fn serialize<E: TextEndpoint + Display, S: Serializer>(endpoint: &E, serializer: S) -> Result<S::Ok, S::Error> {
    let text = endpoint.to_string();
    if parse::<E>(&text).is_err() {
        return Err(ser::Error::custom(format_args!(
            "{text} cannot be written for another program: part of it exists only in this one"
        )));
    }
    serializer.serialize_str(&text)
}
