//! `interfaces`: what can be sniffed.

use super::CliError;
use super::args::{FormatArg, OutputArgs};
use super::output::data;
use super::resolve;
use crate::capture::interfaces::{Interface, list};
use crate::report::model::interface::InterfaceModel;
use crate::report::output::Output;
use crate::report::record::RecordWriter;
use crate::report::settings::{Settings, ViewKind};
use crate::report::table;
use std::io;

/// Lists the interfaces.
pub(crate) fn run(output: &OutputArgs) -> Result<(), CliError> {
    let settings = resolve::settings(ViewKind::Connections, output, 1, false)?;
    let mut interfaces = list().map_err(anyhow::Error::new)?;
    if let Some(limit) = output.limit {
        interfaces.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    }
    write(&interfaces, output.format, &settings).map_err(anyhow::Error::new)?;
    Ok(())
}

fn write(interfaces: &[Interface], format: FormatArg, settings: &Settings) -> io::Result<()> {
    let mut out = data();
    if format == FormatArg::Table {
        out.write_all(table::interfaces::list(interfaces, settings).as_bytes())?;
        return out.flush();
    }
    let mut writer = RecordWriter::new(Output::new(out, None), format.into(), "interfaces");
    for interface in interfaces {
        writer.write(&InterfaceModel::new(interface));
    }
    writer.finish::<InterfaceModel<'_>>();
    writer.output().flush()
}
