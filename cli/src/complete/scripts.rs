//! The scripts of shells: what clap makes of the definition, preceded by the names that the program has.

use clap::CommandFactory;
use clap_complete::Shell;

use crate::args::Args;

/// Where the program has no names, the words of the generated function are left.
const BASH: &str = r#"
_layerlift_names() {
    mapfile -t COMPREPLY < <("${1/#\~\//$HOME/}" __complete bash "$COMP_WORDBREAKS" \
        "${COMP_LINE:0:COMP_POINT}" </dev/null 2>/dev/null)
    [ "${#COMPREPLY[@]}" -gt 0 ] || _layerlift "$@"
}

if [[ "${BASH_VERSINFO[0]}" -eq 4 && "${BASH_VERSINFO[1]}" -ge 4 || "${BASH_VERSINFO[0]}" -gt 4 ]]; then
    complete -F _layerlift_names -o nosort -o bashdefault -o default layerlift
else
    complete -F _layerlift_names -o bashdefault -o default layerlift
fi
"#;

/// Takes the place of the generated function, which gets another name.
const ZSH: &str = r#"
_layerlift() {
    local program=${(Q)words[1]}
    local -a names
    names=(${(f)"$("${program/#\~\//$HOME/}" __complete zsh "${(@Q)words[2,CURRENT-1]}" "${(Q)PREFIX}" \
        </dev/null 2>/dev/null)"})
    (( $#names )) && compadd -a names && return
    _layerlift_words "$@"
}

_layerlift_words() {"#;

const FISH: &str = r#"
function __layerlift_names
    set -l words (commandline -opc)
    set -l program (string replace -r '^~/' "$HOME/" -- $words[1])
    command -q -- $program
    and command $program __complete fish $words[2..-1] (commandline -ct) </dev/null 2>/dev/null
end
"#;

/// Commands that take names; where they take them: in the arguments (`""`), or in an option.
const FISH_PLACES: &[(&str, &[&str])] = &[
    ("save", &["", "exclude", "container"]),
    ("push", &["", "container"]),
    ("images", &[""]),
    ("inspect", &[""]),
    ("verify", &[""]),
    ("containers", &[""]),
    ("rootfs", &[""]),
    ("volume", &[""]),
];

/// The script that a shell reads.
pub(crate) fn script(shell: Shell) -> String {
    let mut generated = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "layerlift", &mut generated);
    let mut script = String::from_utf8_lossy(&generated).into_owned();
    match shell {
        Shell::Bash => script.push_str(BASH),
        Shell::Zsh => script = script.replacen("\n_layerlift() {", ZSH, 1),
        Shell::Fish => {
            script.push_str(FISH);
            for (command, places) in FISH_PLACES {
                for place in *places {
                    let place = if place.is_empty() { "-f".to_owned() } else { format!("-l {place} -x") };
                    script.push_str(&format!(
                        "complete -c layerlift -n \"__fish_layerlift_using_subcommand {command}\" {place} -a \
                         \"(__layerlift_names)\"\n"
                    ));
                }
            }
        }
        _ => {}
    }
    script
}
