//! `interfaces`: what can be sniffed.

use super::CliError;
use super::args::OutputArgs;
use super::output::data;
use super::resolve;
use crate::capture::interfaces::{Interface, list};
use crate::report::model::interface::InterfaceModel;
use crate::report::output::Output;
use crate::report::record::RecordWriter;
use crate::report::settings::{Format, Settings, ViewKind};
use crate::report::table;
use std::io;

/// Lists the interfaces.
pub(crate) fn run(output: &OutputArgs) -> Result<(), CliError> {
    let settings = resolve::settings(ViewKind::Connections, output, 1, false)?;
    let mut interfaces = list().map_err(anyhow::Error::new)?;
    if let Some(limit) = output.limit {
        interfaces.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    }
    write(&interfaces, &settings).map_err(anyhow::Error::new)?;
    Ok(())
}

fn write(interfaces: &[Interface], settings: &Settings) -> io::Result<()> {
    let mut out = data();
    if settings.format == Format::Table {
        out.write_all(table::interfaces::list(interfaces, settings).as_bytes())?;
        return out.flush();
    }
    let mut writer = RecordWriter::new(Output::new(out, None), settings, "interfaces");
    for interface in interfaces {
        writer.write(&InterfaceModel::new(interface));
    }
    writer.finish::<InterfaceModel<'_>>();
    writer.flush()
}
