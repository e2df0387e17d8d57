//! The layers of an endpoint as text.

use torsade_protocols::{Compression, EndpointError, Format};

use super::arguments::{EndpointArguments, Names};

pub(super) const COMPRESS: Names = Names { positional: &["format"], keyed: &[&["level"]], fills_gaps: false };
pub(super) const COMPRESS_FORM: &str = "compress:zstd:level=3:tcp:...";

/// Reads the parts of `compress:`.
pub(super) fn compression(arguments: &EndpointArguments<'_>) -> Result<Compression, EndpointError> {
    let known = Format::ALL.map(Format::name).join(", ");
    let format = arguments.parse("format", &format!("write one of {known}"))?.ok_or_else(|| arguments.missing("format"))?;
    if let Some(feature) = feature_missing(format) {
        return Err(arguments.refuse("format", &format!("build with the feature `{feature}` of torsade")));
    }
    let mut compression = Compression::from(format);
    let levels = format.levels();
    let remedy = format!("write a number from {} to {}", levels.start(), levels.end());
    compression.level =
        arguments.parse_with("level", &remedy, |text| text.trim().parse().ok().filter(|level| levels.contains(level)))?;
    Ok(compression)
}

const fn feature_missing(format: Format) -> Option<&'static str> {
    match format {
        Format::Lz4 if !cfg!(feature = "lz4") => Some("lz4"),
        Format::Zstd if !cfg!(feature = "zstd") => Some("zstd"),
        _ => None,
    }
}

/// Writes compression in front of its endpoint. Settings that have no text are written in angle brackets, which do not parse.
pub(super) fn write_compression(compression: &Compression) -> String {
    let mut plain = Compression::from(compression.format);
    plain.level = compression.level;
    let level = compression.level.map_or_else(String::new, |level| format!(":level={level}"));
    if *compression == plain {
        format!("compress:{}{level}:", plain.format)
    } else {
        format!("<compress:{}{level}>:", plain.format)
    }
}
