//! The library that `zmtpscope keylog` preloads into a program: it writes down the key of each CURVE connection.
//!
//! libzmq, in every version with CURVE (4.0 to 4.3), asks libsodium's `crypto_box_beforenm` once a connection and side
//! for the key that both transient pairs agree on (RFC 26, "C' and S' precomputed"). This file has a function of that
//! name, which the dynamic linker finds first. It calls the real one, appends a line to the file that the environment
//! variable `ZMTPKEYLOGFILE` names, and returns what the real one did. Long-term secrets do not pass here, so none is
//! written: a line opens one connection and nothing else.
//!
//! Invariants: the program behaves as without it. Nothing runs before the first call; there is no state, no allocation,
//! no thread, no output but the line; `errno` is kept; a log that cannot be written is not written. The file is opened
//! for each line, because programs close descriptors that they do not know and reuse their numbers. A line is one
//! `write` to a file opened for appending, so that threads and processes may share it, and it is there before the key is
//! used, so before any byte is sent that it opens.
//!
//! This is no part of the crate: `build.rs` compiles it alone, without the standard library, because it lives in other
//! people's processes. It is the one place of the project with `unsafe` code.

#![no_std]

use core::ffi::{CStr, c_char, c_int, c_void};
use core::mem::transmute;
use core::ptr::null_mut;

const KEY_LENGTH: usize = 32;

/// `int crypto_box_beforenm(unsigned char *k, const unsigned char *pk, const unsigned char *sk)`.
type BeforeNm = unsafe extern "C" fn(*mut u8, *const u8, *const u8) -> c_int;

/// `int crypto_scalarmult_base(unsigned char *q, const unsigned char *n)`: the public half of a secret key.
type PublicOf = unsafe extern "C" fn(*mut u8, *const u8) -> c_int;

const BEFORENM: &CStr = c"crypto_box_beforenm";
const PUBLIC_OF: &CStr = c"crypto_scalarmult_base";
const FILE_VARIABLE: &CStr = c"ZMTPKEYLOGFILE";

const LABEL: &[u8] = b"CURVE_SESSION";

/// The label, three keys in hexadecimal with a space before each, the end of the line.
const LONGEST_LINE: usize = LABEL.len() + 3 * (1 + 2 * KEY_LENGTH) + 1;

/// The real function, called as by the program; then the line.
///
/// # Safety
///
/// As the real one: `key` has room for 32 octets, `public` and `secret` point to as many.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn crypto_box_beforenm(key: *mut u8, public: *const u8, secret: *const u8) -> c_int {
    let ours = crypto_box_beforenm as BeforeNm as *mut c_void;
    let real = find(BEFORENM, ours);
    if real.is_null() {
        // What the program was linked with is gone. Failure is an answer that callers have to know.
        return -1;
    }
    // SAFETY: it has the name, so the type, of the function that the program meant to call, and gets its arguments.
    let result = unsafe { transmute::<*mut c_void, BeforeNm>(real)(key, public, secret) };
    if result == 0 {
        // SAFETY: errno is the thread's own. The real function has just read and written all three keys.
        unsafe {
            let errno = *__errno_location();
            log(&*key.cast(), &*public.cast(), &*secret.cast());
            *__errno_location() = errno;
        }
    }
    result
}

/// Appends the line of a connection: the peer's public key, our own, and the key that they agree on. Which of the two is
/// the client's cannot be seen from here.
fn log(key: &[u8; KEY_LENGTH], peer: &[u8; KEY_LENGTH], secret: &[u8; KEY_LENGTH]) {
    let mut own = [0; KEY_LENGTH];
    let public_of = find(PUBLIC_OF, null_mut());
    // SAFETY: libsodium's function of this name has this type, and both arrays have the length it takes.
    let own_known = !public_of.is_null()
        && unsafe { transmute::<*mut c_void, PublicOf>(public_of)(own.as_mut_ptr(), secret.as_ptr()) } == 0;

    let mut line = Line { octets: [0; LONGEST_LINE], length: 0 };
    line.push(LABEL);
    line.key(peer);
    if own_known {
        line.key(&own);
    }
    line.key(key);
    line.push(b"\n");
    line.append();
}

/// A line under way. What is beyond its room is cut, which no line of [`log`] is.
struct Line {
    octets: [u8; LONGEST_LINE],
    length: usize,
}

impl Line {
    fn push(&mut self, octets: &[u8]) {
        for (place, octet) in self.octets.iter_mut().skip(self.length).zip(octets) {
            *place = *octet;
            self.length += 1;
        }
    }

    fn key(&mut self, key: &[u8; KEY_LENGTH]) {
        let digit = |value: u8| if value < 10 { b'0' + value } else { b'a' + value - 10 };
        self.push(b" ");
        for octet in key {
            self.push(&[digit(octet >> 4), digit(octet & 15)]);
        }
    }

    /// Writes it with one call, so that lines of several writers do not mix.
    fn append(&self) {
        // SAFETY: the name and the value are strings of C that outlive the calls, the descriptor is ours from open to
        // close, and `length` octets of the buffer exist.
        unsafe {
            let path = getenv(FILE_VARIABLE.as_ptr());
            if path.is_null() || *path == 0 {
                return;
            }
            let file = open(path, APPENDING, 0o600 as c_int);
            if file >= 0 {
                write(file, self.octets.as_ptr().cast(), self.length);
                close(file);
            }
        }
    }
}

/// The function `name` of the program, other than `ours`; null if there is none.
///
/// The linker's next one, if there is one. Where libsodium came with a module that was loaded later and for itself
/// (a Python extension), it is not in the linker's search order: then that of any loaded object that has one or depends
/// on one that has.
fn find(name: &CStr, ours: *mut c_void) -> *mut c_void {
    // SAFETY: a string of C, and a handle that always exists.
    let next = unsafe { dlsym(RTLD_NEXT, name.as_ptr()) };
    if !next.is_null() && next != ours {
        return next;
    }
    let mut object = Object { skip: 0, path: [0; LONGEST_PATH] };
    for at in 0.. {
        object.skip = at;
        // SAFETY: the callback is given `object`, which outlives the call.
        if unsafe { dl_iterate_phdr(copy_path, (&raw mut object).cast()) } == 0 {
            break;
        }
        // Not from within the callback: the linker's locks are held there.
        // SAFETY: the path ends with a zero. The object is only held while it is looked into; what is found stays,
        // because the caller depends on it.
        unsafe {
            let handle = dlopen(object.path.as_ptr(), RTLD_LAZY | RTLD_NOLOAD);
            if !handle.is_null() {
                let found = dlsym(handle, name.as_ptr());
                dlclose(handle);
                if !found.is_null() && found != ours {
                    return found;
                }
            }
        }
    }
    null_mut()
}

/// Longer paths cannot be opened (`PATH_MAX`).
const LONGEST_PATH: usize = 4096;

/// Which loaded object is asked for, and where its path goes.
struct Object {
    skip: usize,
    path: [c_char; LONGEST_PATH],
}

/// Called for each loaded object until it returns other than 0.
unsafe extern "C" fn copy_path(info: *mut ObjectInfo, _size: usize, data: *mut c_void) -> c_int {
    // SAFETY: `find` gives an `Object`, the linker an `ObjectInfo` whose name is null or a string of C.
    unsafe {
        let object = &mut *data.cast::<Object>();
        if object.skip > 0 {
            object.skip -= 1;
            return 0;
        }
        let mut from = (*info).name;
        object.path = [0; LONGEST_PATH];
        for place in object.path.iter_mut().take(LONGEST_PATH - 1) {
            if from.is_null() || *from == 0 {
                break;
            }
            *place = *from;
            from = from.add(1);
        }
        1
    }
}

/// The beginning of `struct dl_phdr_info`.
#[repr(C)]
struct ObjectInfo {
    address: usize,
    name: *const c_char,
}

// What is used of libc, with the values that Linux and its C libraries give these constants.

const RTLD_NEXT: *mut c_void = usize::MAX as *mut c_void;
const RTLD_LAZY: c_int = 1;
const RTLD_NOLOAD: c_int = 4;

const O_WRONLY: c_int = 0o1;
const O_CREAT: c_int = 0o100;
const O_NOCTTY: c_int = 0o400;
const O_APPEND: c_int = 0o2000;
/// A FIFO that nobody reads must not stop the program.
const O_NONBLOCK: c_int = 0o4000;
const O_CLOEXEC: c_int = 0o2_000_000;
const APPENDING: c_int = O_WRONLY | O_CREAT | O_NOCTTY | O_APPEND | O_NONBLOCK | O_CLOEXEC;

type Visitor = unsafe extern "C" fn(*mut ObjectInfo, usize, *mut c_void) -> c_int;

#[link(name = "c")]
unsafe extern "C" {
    fn getenv(name: *const c_char) -> *const c_char;
    fn open(path: *const c_char, flags: c_int, ...) -> c_int;
    fn write(file: c_int, octets: *const c_void, length: usize) -> isize;
    fn close(file: c_int) -> c_int;
    fn __errno_location() -> *mut c_int;
    fn dl_iterate_phdr(visitor: Visitor, data: *mut c_void) -> c_int;
}

// In libc itself since glibc 2.34; the other one is empty then.
#[link(name = "dl")]
unsafe extern "C" {
    fn dlopen(path: *const c_char, flags: c_int) -> *mut c_void;
    fn dlsym(handle: *mut c_void, name: *const c_char) -> *mut c_void;
    fn dlclose(handle: *mut c_void) -> c_int;
}

/// Nothing here panics.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
