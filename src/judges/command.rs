//! Judges that are programs: started without a shell, with next to no environment, in a process group of their own that
//! is killed whole when time is up.

use std::io::Write;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

use super::answer::{read, unreadable};
use super::{ANSWER_LIMIT_BYTES, Answer, Format, JudgeError, Settings, in_time, shown};
use crate::cert::pem;

/// How much of standard error is kept, in bytes.
const COMPLAINT_LIMIT_BYTES: usize = 16 << 10;
/// What a program is given of our environment: where programs are, and how text is encoded.
const ENVIRONMENT: [&str; 3] = ["PATH", "LANG", "LC_ALL"];

/// How a program ended.
struct Ended {
    success: bool,
    how: String,
    out: Vec<u8>,
    complaint: String,
}

/// Asks about the certificates of one batch.
pub(super) async fn ask(
    settings: &Settings,
    argv: &[String],
    format: Format,
    ders: &[Vec<u8>],
) -> Result<Vec<Answer>, JudgeError> {
    let unwritable = |error: std::io::Error| JudgeError::Unreachable(format!("a temporary file: {error}"));
    let pems: Vec<String> = ders.iter().map(|der| pem::encode(der)).collect();
    let by_file = argv.iter().any(|argument| argument == "{files}" || argument.contains("{file}"));
    let (mut arguments, mut stdin) = (argv.to_vec(), Vec::new());
    // It goes, with what is in it, at the end of this function, however that ends.
    let folder = by_file.then(|| tempfile::Builder::new().prefix("ctwarden-judge-").tempdir()).transpose();
    let folder = folder.map_err(unwritable)?;
    match &folder {
        None => stdin = pems.concat().into_bytes(),
        Some(folder) => {
            let mut paths = Vec::new();
            for (at, pem) in pems.iter().enumerate() {
                let path = folder.path().join(format!("{}.pem", at + 1));
                std::fs::File::create(&path).and_then(|mut file| file.write_all(pem.as_bytes())).map_err(unwritable)?;
                paths.push(path.to_string_lossy().into_owned());
            }
            arguments = arguments.into_iter().flat_map(|argument| filled(argument, &paths)).collect();
        }
    }
    let ended = in_time(settings.timeout, run(&arguments, stdin)).await?;
    // Not a judge that broke down, but one that says in its way that this is no certificate to it.
    let refusal = match format {
        Format::Pkilint => Some(("pkilint", "Failed to load certificate")),
        Format::Zlint => Some(("zlint", "unable to parse certificate")),
        Format::Pkimetal => None,
    };
    if let (Some((linter, words)), [_], true) = (refusal, ders, ended.out.trim_ascii().is_empty())
        && ended.complaint.contains(words)
    {
        return Ok(vec![unreadable(linter, &ended.complaint)]);
    }
    // The exit code of pkilint is the number of its findings.
    if !ended.success && format != Format::Pkilint {
        return Err(JudgeError::Unreachable(format!("it ended with {}: {}", ended.how, ended.complaint)));
    }
    read(format, &ended.out, ders.len()).map_err(|error| match error {
        JudgeError::Garbled(what) => {
            JudgeError::Garbled(shown(format!("{what}; it ended with {}: {}", ended.how, ended.complaint).as_bytes()))
        }
        other => other,
    })
}

/// What a version command says: what follows `Version:` in its output, else its first line.
pub(super) async fn version(argv: &[String], timeout: Duration) -> Result<String, JudgeError> {
    let ended = in_time(timeout, run(argv, Vec::new())).await?;
    if !ended.success {
        return Err(JudgeError::Unreachable(format!("{} ended with {}: {}", argv[0], ended.how, ended.complaint)));
    }
    let text = String::from_utf8_lossy(&ended.out);
    let named = text.lines().find_map(|line| line.strip_prefix("Version:"));
    let line = named.or(text.lines().find(|line| !line.trim().is_empty())).unwrap_or_default();
    Ok(shown(line.as_bytes()))
}

fn filled(argument: String, paths: &[String]) -> Vec<String> {
    match (argument.as_str(), paths) {
        ("{files}", _) => paths.to_vec(),
        (_, [path, ..]) => vec![argument.replace("{file}", path)],
        _ => vec![argument],
    }
}

/// Kills the process group when it goes: also when its question is dropped half way.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // That it is gone already is well.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

async fn run(argv: &[String], stdin: Vec<u8>) -> Result<Ended, JudgeError> {
    let lost = |error: std::io::Error| JudgeError::Unreachable(format!("{}: {error}", argv[0]));
    let mut command = Command::new(&argv[0]);
    command.args(&argv[1..]).env_clear().process_group(0).kill_on_drop(true);
    command.envs(ENVIRONMENT.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(lost)?;
    let group = Group(child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw));
    let (Some(mut input), Some(out), Some(err)) = (child.stdin.take(), child.stdout.take(), child.stderr.take()) else {
        return Err(JudgeError::Unreachable(format!("{}: its standard streams are missing", argv[0])));
    };
    let writing = async move {
        // A program that does not read to the end may still answer.
        let _ = input.write_all(&stdin).await;
        drop(input);
        Ok(())
    };
    let waiting = async {
        let status = child.wait().await.map_err(lost);
        // Whatever it has started and left behind holds the other ends of our pipes.
        drop(group);
        status
    };
    let answer = capped(out, ANSWER_LIMIT_BYTES);
    let complaint = async { Ok(first(err, COMPLAINT_LIMIT_BYTES).await) };
    let (_, status, out, complaint) = tokio::try_join!(writing, waiting, answer, complaint)?;
    let how = status.to_string();
    // A program that was killed did not say all that it had to say.
    if status.code().is_none() {
        return Err(JudgeError::Unreachable(format!("{} ended with {how}: {}", argv[0], shown(&complaint))));
    }
    Ok(Ended { success: status.success(), how, out, complaint: shown(&complaint) })
}

/// All of a stream, or an error when it is longer than the limit.
async fn capped(stream: impl AsyncRead + Unpin, limit_bytes: usize) -> Result<Vec<u8>, JudgeError> {
    let mut bytes = Vec::new();
    let mut limited = stream.take(limit_bytes as u64 + 1);
    let read = limited.read_to_end(&mut bytes).await;
    read.map_err(|error| JudgeError::Unreachable(error.to_string()))?;
    if bytes.len() > limit_bytes { Err(JudgeError::TooLarge) } else { Ok(bytes) }
}

/// The beginning of a stream; the rest is read too, so that its writer does not wait for ever.
async fn first(mut stream: impl AsyncRead + Unpin, limit_bytes: usize) -> Vec<u8> {
    let (mut kept, mut buffer) = (Vec::new(), [0; 4096]);
    while let Ok(read) = stream.read(&mut buffer).await {
        if read == 0 {
            break;
        }
        let room = limit_bytes.saturating_sub(kept.len());
        kept.extend_from_slice(&buffer[..read.min(room)]);
    }
    kept
}
