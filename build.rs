//! Compiles `preload/curve_sessions.rs`, which `zmtpscope keylog` carries in itself and preloads into other programs.
//!
//! Done here and not as a package of its own, so that each of `cargo build`, `cargo install` and `cargo test` gives one
//! program that needs no other file. Where it cannot be compiled (not Linux with glibc, or no linker for the target) the
//! rest is built all the same, and the command says what it lacks.

use std::env;
use std::path::Path;
use std::process::Command;

const SOURCE: &str = "preload/curve_sessions.rs";

/// Where the constants in the source are those of the kernel.
const ARCHITECTURES: [&str; 8] = ["x86_64", "x86", "aarch64", "arm", "riscv64", "loongarch64", "powerpc64", "s390x"];

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed={SOURCE}");
    println!("cargo:rustc-check-cfg=cfg(has_preload)");
    let target = |what: &str| env::var(format!("CARGO_CFG_TARGET_{what}")).unwrap_or_default();
    let supported = target("OS") == "linux" && target("ENV") == "gnu" && ARCHITECTURES.contains(&&*target("ARCH"));
    if !supported {
        return;
    }
    match compile() {
        Ok(()) => println!("cargo:rustc-cfg=has_preload"),
        Err(why) => println!("cargo:warning=`zmtpscope keylog` will not work: {SOURCE} cannot be compiled: {why}"),
    }
}

fn compile() -> Result<(), String> {
    let variable = |name: &str| env::var(name).map_err(|error| format!("{name}: {error}"));
    let mut rustc = Command::new(variable("RUSTC")?);
    rustc.args(["--edition=2024", "--crate-type=cdylib", "--crate-name=zmtpscope_keylog"]);
    rustc.args(["-Copt-level=2", "-Cpanic=abort", "-Cstrip=symbols", "-Dwarnings"]);
    rustc.arg(format!("--target={}", variable("TARGET")?));
    // The linker that was configured for the target, where one was.
    if let Ok(linker) = env::var("RUSTC_LINKER") {
        rustc.arg(format!("-Clinker={linker}"));
    }
    rustc.arg("-o").arg(Path::new(&variable("OUT_DIR")?).join("keylog.so")).arg(SOURCE);
    let output = rustc.output().map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(());
    }
    // A warning of a build script is one line.
    Err(String::from_utf8_lossy(&output.stderr).lines().map(str::trim).collect::<Vec<_>>().join(" | "))
}
