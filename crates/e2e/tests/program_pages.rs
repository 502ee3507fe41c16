//! Compares the pages in `docs/programs/` with the programs' `--help`.
//!
//! A page has a table of flags for each command. The heading above a table names its commands in code spans, and a
//! table may serve several. Every flag and argument of a command's `--help` has one row with the same value name,
//! variable and default, and mentions every possible value; every row is in `--help`; every subcommand has a heading.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use e2e::programs::program;

/// The program that contains the others. Its page describes only what the others lack.
const ALL_IN_ONE: &str = "plainsight";

/// Its commands that no other program has.
const OWN_COMMANDS: [&str; 2] = ["plainsight completions", "plainsight man"];

/// Its commands that have another name than the program.
const OTHER_NAMES: [(&str, &str); 4] =
    [("capture", "capturer"), ("certs", "certgen"), ("doctor", "lab doctor"), ("check", "analyze check")];

/// Flags of every program, which `docs/programs/README.md` describes once.
const COMMON_FLAGS: [&str; 2] = ["-h, --help", "-V, --version"];

/// One flag or argument in `--help` or on a page.
#[derive(Debug, Default, PartialEq, Eq)]
struct Flag {
    variable: String,
    default: String,
    /// In `--help` the possible values, on a page every code span of the description.
    values: BTreeSet<String>,
}

/// Flags by their notation on a page: `--count N`, `-q, --quiet`, `[URL]`.
type Flags = BTreeMap<String, Flag>;

#[test]
fn pages_agree_with_help() {
    let mut checked = 0;
    for (name, page) in pages() {
        let commands = commands_on(&page);
        let mut of_program = commands_of(&name);
        of_program.retain(|command| name != ALL_IN_ONE || OWN_COMMANDS.contains(&command.as_str()));
        assert_eq!(
            commands.keys().cloned().collect::<BTreeSet<_>>(),
            of_program,
            "{name}.md and `{name} --help` name different commands"
        );
        for (command, documented) in commands {
            let help = flags_in(&help_of(&command));
            compare(&command, &help, &documented);
            checked += help.len();
        }
    }
    assert!(checked > 100, "only {checked} flags were compared");
}

#[test]
fn every_program_has_a_page() {
    let crates = repository().join("crates");
    let folders = fs::read_dir(&crates).expect("the folder of the crates");
    let programs: BTreeSet<String> = folders
        .map(|folder| folder.expect("a folder").path())
        .filter(|folder| folder.join("src/main.rs").is_file())
        .map(|folder| folder.file_name().expect("a name").to_string_lossy().into_owned())
        .collect();
    assert_eq!(programs, pages().into_keys().collect::<BTreeSet<_>>());

    let index = fs::read_to_string(repository().join("docs/programs/README.md")).expect("the index");
    for name in &programs {
        assert!(index.contains(&format!("[`{name}`]({name}.md)")), "docs/programs/README.md lacks {name}");
    }
}

#[test]
fn one_program_contains_the_others() {
    let mut contained = BTreeSet::new();
    for command in commands_of(ALL_IN_ONE) {
        if OWN_COMMANDS.contains(&command.as_str()) {
            continue;
        }
        let name = command.split(' ').nth(1).expect("a command");
        let program =
            OTHER_NAMES.iter().find(|(other, _)| *other == name).map_or(name, |(_, program)| program);
        contained.insert(program.to_owned());
        if program.contains(' ') {
            // A command of a program has that program's flags besides.
            let (own, all) = (flags_in(&help_of(&command)), flags_in(&help_of(program)));
            assert!(own.iter().all(|(flag, described)| all.get(flag) == Some(described)), "{command}");
            continue;
        }
        let usage = |help: &str| help.replace(&format!("plainsight {name}"), program);
        assert_eq!(usage(&help_of(&command)), help_of(program), "{command}");
        for inner in commands_of(program).iter().filter_map(|inner| inner.split_once(' ')) {
            let inside = help_of(&format!("{command} {}", inner.1));
            assert_eq!(usage(&inside), help_of(&format!("{} {}", inner.0, inner.1)), "{command} {}", inner.1);
        }
    }
    // Not listed: who runs an experiment has no use for them.
    for name in ["runner", "isolation-control"] {
        assert_eq!(flags_in(&help_of(&format!("plainsight {name}"))), flags_in(&help_of(name)), "{name}");
        contained.insert(name.to_owned());
    }
    let wanted = pages().into_keys().filter(|name| ![ALL_IN_ONE, "bench"].contains(&name.as_str()));
    let wanted: BTreeSet<String> = wanted.chain(["lab doctor", "analyze check"].map(str::to_owned)).collect();
    assert_eq!(contained, wanted);
}

#[test]
fn reads_both_layouts_of_help() {
    let long = "Arguments:\n  [PATHS]...\n          Captures\n          \n          [default: captures]\n\n\
                Options:\n      --format <FORMAT>\n          What to print\n\n          Possible values:\n          \
                - text: For people\n          - json: A document\n          \n          [env: FORMAT=]\n          \
                [default: text]\n\n  -q, --quiet\n          Nothing\n";
    let short = "Options:\n      --format <FORMAT>  What to print [env:\n                         FORMAT=] [default: \
                 text] [possible\n                         values: text, json]\n  -q, --quiet            Nothing\n\n\
                 Arguments:\n  [PATHS]...  Captures [default: captures]\n";
    assert_eq!(flags_in(long), flags_in(short));
    let flags = flags_in(long);
    assert_eq!(flags.keys().collect::<Vec<_>>(), ["--format FORMAT", "-q, --quiet", "[PATHS]"]);
    let format = &flags["--format FORMAT"];
    assert_eq!((format.variable.as_str(), format.default.as_str()), ("FORMAT", "text"));
    assert_eq!(format.values, BTreeSet::from(["text".to_owned(), "json".to_owned()]));
}

fn compare(command: &str, help: &Flags, documented: &Flags) {
    let names = |flags: &Flags| flags.keys().cloned().collect::<BTreeSet<_>>();
    assert_eq!(names(documented), names(help), "the page and `{command} --help` list different flags");
    for (name, flag) in help {
        let row = &documented[name];
        assert_eq!(row.variable, flag.variable, "variable of `{command} {name}`");
        assert_eq!(row.default, flag.default, "default of `{command} {name}`");
        let missing: Vec<_> = flag.values.difference(&row.values).collect();
        assert!(missing.is_empty(), "the page lacks values of `{command} {name}`: {missing:?}");
    }
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The pages by program name.
fn pages() -> BTreeMap<String, String> {
    let folder = repository().join("docs/programs");
    let entries = fs::read_dir(&folder).expect("the folder of the pages");
    entries
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .filter(|path| path.file_stem().is_some_and(|stem| stem != "README"))
        .map(|path| {
            let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
            (name, fs::read_to_string(&path).expect("a page"))
        })
        .collect()
}

/// The tables of a page, by command.
fn commands_on(page: &str) -> BTreeMap<String, Flags> {
    let mut commands: BTreeMap<String, Flags> = BTreeMap::new();
    let mut headed: Vec<String> = Vec::new();
    let mut columns: Vec<String> = Vec::new();
    for line in page.lines() {
        if line.starts_with('#') {
            headed = code_spans(line);
            for command in &headed {
                commands.entry(command.clone()).or_default();
            }
        } else if !line.starts_with('|') {
            columns.clear();
        } else if columns.is_empty() {
            columns = cells(line);
        } else if columns[0] == "flag" && !line.starts_with("|-") {
            for command in &headed {
                let (name, flag) = row(&columns, line);
                let flags = commands.get_mut(command).expect("just made");
                assert_eq!(flags.insert(name.clone(), flag), None, "{command} has two rows for {name}");
            }
        }
    }
    commands
}

fn row(columns: &[String], line: &str) -> (String, Flag) {
    let cells = cells(line);
    assert_eq!(cells.len(), columns.len(), "a cell too many or too few: {line}");
    let mut flag = Flag::default();
    for (column, cell) in columns.iter().zip(&cells).skip(1) {
        match column.as_str() {
            "variable" => flag.variable = cell.replace('`', ""),
            "default" => flag.default = cell.replace('`', ""),
            "meaning" => flag.values = code_spans(cell).into_iter().collect(),
            other => panic!("unknown column {other}"),
        }
    }
    (normal(&cells[0].replace('`', "")), flag)
}

fn cells(line: &str) -> Vec<String> {
    let inner = line.trim().trim_start_matches('|').trim_end_matches('|');
    inner.split('|').map(|cell| cell.trim().to_owned()).collect()
}

fn code_spans(text: &str) -> Vec<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// `--help` marks values with angle brackets and repetition with dots.
fn normal(flag: &str) -> String {
    flag.replace(['<', '>'], "").trim_end_matches("...").to_owned()
}

/// The command lines of the program and its subcommands.
fn commands_of(name: &str) -> BTreeSet<String> {
    let help = help_of(name);
    let listed =
        help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let subcommands = listed
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|subcommand| *subcommand != "help")
        .map(|subcommand| format!("{name} {subcommand}"));
    let mut commands: BTreeSet<String> = subcommands.collect();
    if commands.is_empty() || !flags_in(&help).is_empty() {
        commands.insert(name.to_owned());
    }
    commands
}

/// The output of `--help`, run without environment variables, whose values it would show.
fn help_of(command: &str) -> String {
    let mut words = command.split(' ');
    let name = words.next().expect("a program");
    let output = Command::new(program(name)).args(words).arg("--help").env_clear().output();
    let output = output.expect("the program starts");
    assert!(output.status.success(), "{command} --help: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("help is UTF-8")
}

/// The flags and arguments in the text of `--help`.
fn flags_in(help: &str) -> Flags {
    let mut entries: Vec<(String, String)> = Vec::new();
    let mut in_list = false;
    for line in help.lines() {
        let text = line.trim_start();
        let indent = line.len() - text.len();
        if indent == 0 && !text.is_empty() {
            in_list = text.ends_with(':') && !["Commands:", "First steps:"].contains(&text);
        } else if in_list && (1..=6).contains(&indent) {
            let (flag, description) = text.split_once("  ").unwrap_or((text, ""));
            entries.push((normal(flag.trim()), description.trim().to_owned()));
        } else if in_list && let Some((_, description)) = entries.last_mut() {
            // In the long layout each possible value has its own line.
            description.push_str(if text.starts_with("- ") { "\n" } else { " " });
            description.push_str(text.trim());
        }
    }
    let flags = entries.into_iter().filter(|(flag, _)| !COMMON_FLAGS.contains(&flag.as_str()));
    flags.map(|(flag, description)| (flag, described(&description))).collect()
}

fn described(description: &str) -> Flag {
    let bracketed = |key: &str| {
        let text = description.replace('\n', " ");
        let (_, rest) = text.split_once(&format!("[{key}: "))?;
        Some(rest.split(']').next().unwrap_or(rest).trim().to_owned())
    };
    let mut values: BTreeSet<String> = description
        .lines()
        .filter_map(|line| Some(line.strip_prefix("- ")?.split([':', ' ']).next()?.to_owned()))
        .collect();
    if let Some(listed) = bracketed("possible values") {
        values.extend(listed.split(", ").map(str::to_owned));
    }
    Flag {
        variable: bracketed("env").map(|set| set.trim_end_matches('=').to_owned()).unwrap_or_default(),
        default: bracketed("default").unwrap_or_default().replace('`', ""),
        values,
    }
}
