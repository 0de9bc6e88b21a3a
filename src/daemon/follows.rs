//! The followers of the logs: which there are, and what becomes of them when the log list changes.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{AbortHandle, Id, JoinError, JoinSet};

use crate::books::BooksError;
use crate::clock::{DAY, Timestamp};
use crate::config::StartAt;
use crate::ct::Hash;
use crate::ct::key::LogId;
use crate::ct::log_list::{Log, LogState};
use crate::pipeline::{self, FollowEnd, Until, Walk};
use crate::tail::{Fetcher, Limits};

/// Pause before a log that is to be finished, and could not be, is tried again.
const AGAIN: Duration = Duration::from_secs(60);

/// A log that is to be followed, and how.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Assignment {
    pub log: Arc<Log>,
    pub start: StartAt,
    pub limits: Limits,
}

impl Assignment {
    /// Whether a follower of the one need not be told of the other: what the list says about the log may differ.
    fn reads_as(&self, other: &Assignment) -> bool {
        let (a, b) = (&self.log, &other.log);
        (self.start, self.limits) == (other.start, other.limits)
            && (a.log_id, &a.name, &a.api, &a.origin, a.mmd, a.state)
                == (b.log_id, &b.name, &b.api, &b.origin, b.mmd, b.state)
    }
}

/// How long a log is followed.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Goal {
    /// As long as it is in the list.
    Stay,
    /// Up to the last head that it will ever sign, of this size and root: it takes no more entries.
    Final(u64, Hash),
    /// Up to the head that it has now: it left the list at this time.
    Leave(Timestamp),
    /// No further.
    Gone,
}

impl Goal {
    fn of(log: &Log) -> Goal {
        match log.final_tree_head {
            Some((size, root)) if log.state == LogState::ReadOnly => Goal::Final(size, root),
            _ => Goal::Stay,
        }
    }
}

struct Followed {
    assignment: Assignment,
    goal: Goal,
    /// The name under which its metrics stand.
    shown: String,
    task: Option<AbortHandle>,
    /// The task was told to end, for another to begin.
    stopping: bool,
}

/// The followers.
pub(super) struct Follows {
    walk: Arc<Walk>,
    fetcher: Fetcher,
    until: Until,
    logs: BTreeMap<LogId, Followed>,
    tasks: JoinSet<Result<FollowEnd, BooksError>>,
    owners: HashMap<Id, LogId>,
    /// Logs that a run which is to end could not read, and why.
    pub unreachable: Vec<String>,
}

/// How a task ended.
pub(super) type Ended = Result<(Id, Result<FollowEnd, BooksError>), JoinError>;

impl Follows {
    pub fn new(walk: Arc<Walk>, fetcher: Fetcher, until: Until) -> Follows {
        let (logs, tasks, owners) = (BTreeMap::new(), JoinSet::new(), HashMap::new());
        Follows { walk, fetcher, until, logs, tasks, owners, unreachable: Vec::new() }
    }

    /// How many logs are followed.
    pub fn count(&self) -> usize {
        self.logs.len()
    }

    /// Follows these logs and no other: new ones are begun, changed ones begun anew from where they stand, and those
    /// that are gone read to their end first.
    ///
    /// # Errors
    /// Unusable books.
    pub async fn assign(&mut self, wanted: Vec<Assignment>) -> Result<(), BooksError> {
        let now = self.walk.clock.now();
        let ids: Vec<LogId> = self.logs.keys().copied().collect();
        for id in ids.into_iter().filter(|id| !wanted.iter().any(|new| new.log.log_id == *id)) {
            let Some(followed) = self.logs.get_mut(&id) else { continue };
            let log = &followed.assignment.log;
            match followed.goal {
                // Behind this URL stands another log now, so that there is nothing left to read.
                _ if wanted.iter().any(|new| new.log.name == log.name) => {
                    tracing::error!(log = log.name, log_id = %id, "the list has another key for this URL; the log is dropped");
                    followed.goal = Goal::Gone;
                }
                Goal::Leave(since) if now.since(since) > DAY => {
                    tracing::error!(
                        log = log.name,
                        "the log left the list and could not be read to its end within a day"
                    );
                    followed.goal = Goal::Gone;
                }
                Goal::Leave(_) | Goal::Gone => continue,
                Goal::Stay | Goal::Final(..) => {
                    tracing::info!(log = log.name, "the log is no longer to be followed; it is read to its end first");
                    followed.goal = Goal::Leave(now);
                }
            }
            self.restart(id);
        }
        for new in wanted {
            let (id, goal) = (new.log.log_id, Goal::of(&new.log));
            if let Some(followed) = self.logs.get_mut(&id) {
                let same = followed.goal == goal && followed.assignment.reads_as(&new);
                followed.assignment = new;
                followed.goal = goal;
                if same {
                    self.tell_state(id);
                } else {
                    self.restart(id);
                }
            } else if !self.is_read(&new.log, goal).await? {
                let shown = new.log.name.clone();
                tracing::info!(log = shown, state = new.log.state.word(), "the log is taken up");
                self.logs.insert(id, Followed { assignment: new, goal, shown, task: None, stopping: false });
                self.restart(id);
            }
        }
        Ok(())
    }

    /// Begins every follower anew, with what has changed for all of them.
    pub fn renew(&mut self, walk: Arc<Walk>) {
        self.walk = walk;
        let ids: Vec<LogId> = self.logs.keys().copied().collect();
        ids.into_iter().for_each(|id| self.restart(id));
    }

    /// Whether nothing of the log is left to read.
    async fn is_read(&self, log: &Log, goal: Goal) -> Result<bool, BooksError> {
        let Goal::Final(size, root) = goal else { return Ok(false) };
        let backlog = self.walk.books.backlog(log.key.clone()).await?;
        let backlog = backlog.filter(|backlog| backlog.position.downloaded.size() < backlog.goal.tree_size());
        let Some(position) = self.walk.books.position(log.log_id).await? else { return Ok(size == 0) };
        // What it does not serve is asked for as long as it is in the list.
        if backlog.is_some() || position.downloaded.size() < size || self.walk.books.has_gaps(log.log_id).await? {
            return Ok(false);
        }
        // With another root than the list states it is followed on: the follower charges it, and keeps both.
        Ok(position.verified.size() != size || position.verified.root() == root)
    }

    /// Ends the task of a log, if there is one, so that another begins.
    fn restart(&mut self, id: LogId) {
        let Some(followed) = self.logs.get_mut(&id) else { return };
        match &followed.task {
            Some(task) => {
                followed.stopping = true;
                task.abort();
            }
            None => self.begin(id, Duration::ZERO),
        }
    }

    fn begin(&mut self, id: LogId, after: Duration) {
        let Some(followed) = self.logs.get(&id) else { return };
        let Assignment { log, start, limits } = followed.assignment.clone();
        if followed.shown != log.name {
            self.forget(&followed.shown.clone(), id);
        }
        self.tell_state(id);
        let until = match self.logs.get(&id).map(|followed| followed.goal) {
            None | Some(Goal::Gone) => return self.drop_log(id),
            Some(Goal::Stay) => self.until,
            Some(Goal::Final(..) | Goal::Leave(_)) => Until::CaughtUp,
        };
        let (walk, fetcher) = (self.walk.clone(), self.fetcher.for_log(&log.name, limits));
        let shown = log.name.clone();
        let task = self.tasks.spawn(async move {
            tokio::time::sleep(after).await;
            pipeline::follow(walk, log, fetcher, start, until).await
        });
        self.owners.insert(task.id(), id);
        if let Some(followed) = self.logs.get_mut(&id) {
            (followed.task, followed.stopping, followed.shown) = (Some(task), false, shown);
        }
    }

    /// The next task that ends; with a run that is to end, `None` when none is left.
    pub async fn next_ended(&mut self) -> Option<Ended> {
        match self.tasks.join_next_with_id().await {
            None if self.until == Until::Stopped => std::future::pending().await,
            ended => ended,
        }
    }

    /// Draws the conclusions from the end of a task.
    ///
    /// # Errors
    /// Unusable books.
    pub async fn settle(&mut self, ended: Ended) -> Result<(), BooksError> {
        let (task, end) = match ended {
            Ok((task, end)) => (task, Some(end?)),
            Err(error) if error.is_cancelled() => (error.id(), None),
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        };
        let Some(id) = self.owners.remove(&task) else { return Ok(()) };
        let Some(followed) = self.logs.get_mut(&id) else { return Ok(()) };
        followed.task = None;
        let (goal, log) = (followed.goal, followed.assignment.log.clone());
        let Some(end) = end.filter(|_| !followed.stopping) else {
            // The task may have left a commit behind; the position is read after it.
            self.walk.books.settle().await?;
            self.begin(id, Duration::ZERO);
            return Ok(());
        };
        if self.until == Until::CaughtUp {
            if let FollowEnd::Unreachable(why) = end {
                self.unreachable.push(format!("log {} ({why})", log.name));
            }
            return Ok(());
        }
        let read = match (goal, &end) {
            (Goal::Leave(_), end) => *end == FollowEnd::CaughtUp,
            (Goal::Final(..), _) => self.is_read(&log, goal).await?,
            (Goal::Gone, _) => true,
            (Goal::Stay, _) => false,
        };
        if read {
            tracing::info!(log = log.name, "the log is read to its end; it is no longer followed");
            self.drop_log(id);
        } else {
            self.begin(id, AGAIN);
        }
        Ok(())
    }

    fn tell_state(&self, id: LogId) {
        if let Some(Followed { assignment: Assignment { log, .. }, .. }) = self.logs.get(&id) {
            self.walk.metrics.log_info(&log.name, &log.operator, log.api.word(), log.state.word());
        }
    }

    fn drop_log(&mut self, id: LogId) {
        if let Some(followed) = self.logs.remove(&id) {
            self.forget(&followed.shown, id);
        }
    }

    /// Takes the metrics of a name away, unless another log stands under it now.
    fn forget(&self, name: &str, id: LogId) {
        let taken = |(other, followed): (&LogId, &Followed)| *other != id && followed.assignment.log.name == name;
        if !self.logs.iter().any(taken) {
            self.walk.metrics.forget_log(name);
        }
    }
}
