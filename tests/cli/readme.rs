//! The README's tour shows what the program prints.

use std::fs;
use std::path::Path;
use std::process::Command;

/// The commands of the README on fixtures, each with the output that it shows. Those that pipe into `jq` are not among
/// them: what it prints is not ours.
fn shown(readme: &str) -> Vec<(String, String)> {
    let mut shown = Vec::new();
    for block in readme.split("```console\n").skip(1).filter_map(|rest| rest.split("```").next()) {
        let Some((command, output)) = block.strip_prefix("$ ").and_then(|rest| rest.split_once('\n')) else { continue };
        let is_ours = command.starts_with("zmtpscope ") || command.starts_with("COLUMNS=");
        if is_ours && command.contains("fixtures/") && !command.contains("jq ") {
            shown.push((command.to_owned(), output.to_owned()));
        }
    }
    shown
}

#[test]
fn its_tour_is_what_the_program_prints() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = fs::read_to_string(root.join("README.md")).expect("there is one");
    let tour = shown(&readme);
    assert!(tour.len() >= 6, "it shows {} commands only", tour.len());
    for (command, expected) in tour {
        let binary = env!("CARGO_BIN_EXE_zmtpscope");
        let mut shell = Command::new("sh");
        let command = command.replace("zmtpscope ", &format!("'{binary}' "));
        shell.args(["-c", &command]).current_dir(root);
        let output = shell.env_remove("COLUMNS").env_remove("ZMTPKEYLOGFILE").output().expect("there is a shell");
        assert_eq!(String::from_utf8_lossy(&output.stdout), expected, "{command}");
    }
}
