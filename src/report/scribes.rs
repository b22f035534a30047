//! Sheets are formatted by several threads, and written in the order in which they were filled.
//!
//! ```text
//!  fill a sheet ═► format (any thread) ═► write        who fills also writes, and formats rather than wait
//! ```
//!
//! Invariants: what is written does not depend on how many threads there are. What waits is bounded.

use super::settings::Settings;
use super::sheet::Sheet;
use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, Sender, SyncSender, TryRecvError, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// Sheets under way for each thread: so many that none waits for the next one.
const EACH: usize = 4;

/// Has sheets formatted.
pub struct Scribes {
    settings: Arc<Settings>,
    threads: usize,
    /// None before the first sheet is full: little output needs no threads.
    pool: Option<Pool>,
    /// Where each sheet that is under way will come back.
    under_way: VecDeque<Receiver<Sheet>>,
    blank: Vec<Sheet>,
}

/// Threads that format; they end with it.
struct Pool {
    work: Sender<Job>,
    /// Shared with them.
    queue: Arc<Mutex<Receiver<Job>>>,
}

/// A sheet, and where it goes when it is formatted.
type Job = (Sheet, SyncSender<Sheet>);

impl Scribes {
    /// As many threads as [`Settings::threads`] says, this one among them.
    pub fn new(settings: &Settings) -> Self {
        Self {
            settings: Arc::new(settings.clone()),
            threads: settings.threads(),
            pool: None,
            under_way: VecDeque::new(),
            blank: Vec::new(),
        }
    }

    /// Takes what is on `sheet`, which is blank then; gives `write` what is formatted by now.
    pub fn take(&mut self, sheet: &mut Sheet, write: impl FnMut(&[u8])) {
        if self.threads == 1 {
            return self.here(sheet, write);
        }
        let pool = self.pool.get_or_insert_with(|| Pool::start(self.threads - 1, &self.settings));
        let full = std::mem::replace(sheet, self.blank.pop().unwrap_or_default());
        let (back, formatted) = sync_channel(1);
        // It cannot fail: the queue is here, too.
        let _ = pool.work.send((full, back));
        self.under_way.push_back(formatted);
        self.collect(EACH * self.threads, write);
    }

    /// Gives `write` all that was taken, and what is on `sheet`.
    pub fn catch_up(&mut self, sheet: &mut Sheet, mut write: impl FnMut(&[u8])) {
        self.collect(0, &mut write);
        self.here(sheet, write);
    }

    /// Gives `write` what is formatted, in order, until no more than so many sheets are under way of which the first is not.
    fn collect(&mut self, most: usize, mut write: impl FnMut(&[u8])) {
        while let Some(formatted) = self.under_way.front() {
            let sheet = match formatted.try_recv() {
                Err(TryRecvError::Empty) if self.under_way.len() <= most => break,
                Err(TryRecvError::Empty) => {
                    if let Some(job) = self.pool.as_ref().and_then(Pool::next) {
                        format(job, &self.settings);
                        continue;
                    }
                    formatted.recv().ok()
                }
                formatted => formatted.ok(),
            };
            let mut sheet = sheet.expect("threads that format do not panic");
            write(sheet.text());
            sheet.clear();
            self.blank.push(sheet);
            self.under_way.pop_front();
        }
    }

    fn here(&self, sheet: &mut Sheet, mut write: impl FnMut(&[u8])) {
        sheet.format(&self.settings);
        write(sheet.text());
        sheet.clear();
    }
}

impl Pool {
    fn start(threads: usize, settings: &Arc<Settings>) -> Self {
        let (work, queue) = channel();
        let queue = Arc::new(Mutex::new(queue));
        for _ in 0..threads {
            let (queue, settings) = (Arc::clone(&queue), Arc::clone(settings));
            let waits = move || {
                let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
                while let Ok(job) = next() {
                    format(job, &settings);
                }
            };
            let thread = thread::Builder::new().name("format".to_owned()).spawn(waits);
            thread.expect("the system has room for as many threads as it has processors");
        }
        Self { work, queue }
    }

    /// What no thread has begun with; `None` also while another one looks.
    fn next(&self) -> Option<Job> {
        self.queue.try_lock().ok()?.try_recv().ok()
    }
}

fn format((mut sheet, back): Job, settings: &Settings) {
    sheet.format(settings);
    // Nobody takes it where the view is gone.
    let _ = back.send(sheet);
}
