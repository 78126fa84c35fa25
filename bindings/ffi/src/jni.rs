//! The fast path of Kotlin: camera planes and bitmaps where they lie, calls without JNA.
//!
//! `app.shelfsight.internal.FastPath` declares these functions. Requests and replies are the bytes that UniFFI would
//! send, so Kotlin reads them with the converters it has already; the first byte of a reply is 0 before a reply, 1
//! before a failure.

use jni::errors::Error;
use jni::objects::{JByteArray, JByteBuffer, JClass, JObject};
use jni::sys::jlong;
use jni::{Env, EnvUnowned};
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::types::{Reply, Request};
use crate::{Failure, NativeEngine, UniFfiTag};

/// Does nothing, for measuring what a call costs.
#[unsafe(no_mangle)]
pub extern "system" fn Java_app_shelfsight_internal_FastPath_nothing(_: EnvUnowned<'_>, _: JClass<'_>) {}

/// Begins a job of an engine; -1 if it is closed.
#[unsafe(no_mangle)]
pub extern "system" fn Java_app_shelfsight_internal_FastPath_begin(
    _: EnvUnowned<'_>,
    _: JClass<'_>,
    engine: jlong,
) -> jlong {
    let job = guard(|| NativeEngine::of_key(engine as u64)?.begin());
    job.map_or(-1, |job| job as jlong)
}

/// Stops a job.
#[unsafe(no_mangle)]
pub extern "system" fn Java_app_shelfsight_internal_FastPath_cancel(
    _: EnvUnowned<'_>,
    _: JClass<'_>,
    engine: jlong,
    job: jlong,
) {
    // A closed engine has stopped its jobs already.
    let _ = guard(|| NativeEngine::of_key(engine as u64).map(|engine| engine.cancel(job as u64)));
}

/// Forgets a job.
#[unsafe(no_mangle)]
pub extern "system" fn Java_app_shelfsight_internal_FastPath_end(
    _: EnvUnowned<'_>,
    _: JClass<'_>,
    engine: jlong,
    job: jlong,
) {
    let _ = guard(|| NativeEngine::of_key(engine as u64).map(|engine| engine.end(job as u64)));
}

/// Answers a query over direct buffers; those that are null count as empty.
#[unsafe(no_mangle)]
pub extern "system" fn Java_app_shelfsight_internal_FastPath_query<'local>(
    mut env: EnvUnowned<'local>,
    _: JClass<'local>,
    engine: jlong,
    request: JByteArray<'local>,
    plane0: JByteBuffer<'local>,
    plane1: JByteBuffer<'local>,
    plane2: JByteBuffer<'local>,
) -> JByteArray<'local> {
    let outcome = env.with_env(|env| -> Result<_, Error> {
        let reply = read_request(env, &request).and_then(|request| {
            let planes = [direct(env, &plane0, 0)?, direct(env, &plane1, 1)?, direct(env, &plane2, 2)?];
            guard(|| NativeEngine::of_key(engine as u64)?.answer(request, planes))
        });
        env.byte_array_from_slice(&written(reply))
    });
    outcome.resolve::<jni::errors::ThrowRuntimeExAndDefault>()
}

/// Answers a query over an `android.graphics.Bitmap`, whose pixels are locked in place for the call.
#[unsafe(no_mangle)]
pub extern "system" fn Java_app_shelfsight_internal_FastPath_bitmap<'local>(
    mut env: EnvUnowned<'local>,
    _: JClass<'local>,
    engine: jlong,
    request: JByteArray<'local>,
    bitmap: JObject<'local>,
) -> JByteArray<'local> {
    let outcome = env.with_env(|env| -> Result<_, Error> {
        let reply =
            read_request(env, &request).and_then(|request| answer_bitmap(env, engine, request, &bitmap));
        env.byte_array_from_slice(&written(reply))
    });
    outcome.resolve::<jni::errors::ThrowRuntimeExAndDefault>()
}

/// Runs `work`; a panic becomes a failure.
fn guard<T>(work: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    // The engine's locks survive a panic, and nothing else outlives the call.
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        Err(Failure::Internal { reason: "a fault in the library; the query was given up".to_owned() })
    })
}

fn read_request(env: &Env<'_>, request: &JByteArray<'_>) -> Result<Request, Failure> {
    let broken =
        |reason: String| Failure::Internal { reason: format!("the request cannot be read: {reason}") };
    let bytes = env.convert_byte_array(request).map_err(|error| broken(error.to_string()))?;
    let mut rest = bytes.as_slice();
    guard(|| {
        <Request as uniffi::Lift<UniFfiTag>>::try_read(&mut rest).map_err(|error| broken(error.to_string()))
    })
}

fn written(reply: Result<Reply, Failure>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(4096);
    match reply {
        Ok(reply) => {
            bytes.push(0);
            <Reply as uniffi::Lower<UniFfiTag>>::write(reply, &mut bytes);
        }
        Err(failure) => {
            bytes.push(1);
            <Failure as uniffi::Lower<UniFfiTag>>::write(failure, &mut bytes);
        }
    }
    bytes
}

/// The bytes of a direct buffer, from its first to its capacity.
fn direct<'a>(env: &Env<'_>, buffer: &'a JByteBuffer<'_>, plane: usize) -> Result<&'a [u8], Failure> {
    if buffer.is_null() {
        return Ok(&[]);
    }
    let address = env.get_direct_buffer_address(buffer).ok();
    let capacity = env.get_direct_buffer_capacity(buffer).ok();
    match address.zip(capacity) {
        // SAFETY: the JVM says that this many bytes lie at the address and keeps them for as long as the buffer object
        // is reachable, which it is while the native method that was given it runs; the borrow of `buffer` ends with
        // that. A camera may write the next picture into them at the same time if the app closed its image early: the
        // façade closes a frame only after its query returned.
        Some((address, capacity)) => Ok(unsafe { std::slice::from_raw_parts(address, capacity) }),
        None => Err(Failure::Frame {
            reason: format!("plane {plane} is not a direct ByteBuffer; use ByteBuffer.allocateDirect"),
        }),
    }
}

#[cfg(not(target_os = "android"))]
fn answer_bitmap(_: &Env<'_>, _: jlong, _: Request, _: &JObject<'_>) -> Result<Reply, Failure> {
    Err(Failure::Frame {
        reason: "bitmaps are locked on Android alone; copy the pixels to a buffer".to_owned(),
    })
}

#[cfg(target_os = "android")]
fn answer_bitmap(
    env: &Env<'_>,
    engine: jlong,
    mut request: Request,
    bitmap: &JObject<'_>,
) -> Result<Reply, Failure> {
    let locked = android::Locked::new(env, bitmap)?;
    let rotation = request.layout.as_ref().map_or(0, |layout| layout.rotation);
    request.layout = Some(locked.layout(rotation)?);
    guard(|| NativeEngine::of_key(engine as u64)?.answer(request, [locked.pixels(), &[], &[]]))
}

/// `libjnigraphics`, part of every Android since 2.2.
#[cfg(target_os = "android")]
mod android {
    use jni::Env;
    use jni::objects::JObject;
    use jni::sys::{JNIEnv, jobject};
    use std::ffi::c_void;

    use crate::{Failure, FrameLayout, PixelFormat, PlaneLayout};

    /// `AndroidBitmapInfo` of `<android/bitmap.h>`.
    #[repr(C)]
    #[derive(Default)]
    struct Info {
        width: u32,
        height: u32,
        stride: u32,
        format: i32,
        flags: u32,
    }

    const RGBA_8888: i32 = 1;
    const A_8: i32 = 8;

    #[link(name = "jnigraphics")]
    unsafe extern "C" {
        fn AndroidBitmap_getInfo(env: *mut JNIEnv, bitmap: jobject, info: *mut Info) -> i32;
        fn AndroidBitmap_lockPixels(env: *mut JNIEnv, bitmap: jobject, pixels: *mut *mut c_void) -> i32;
        fn AndroidBitmap_unlockPixels(env: *mut JNIEnv, bitmap: jobject) -> i32;
    }

    /// A bitmap whose pixels stay where they are until this is dropped.
    pub(super) struct Locked {
        env: *mut JNIEnv,
        bitmap: jobject,
        info: Info,
        pixels: *const u8,
    }

    impl Locked {
        pub fn new(env: &Env<'_>, bitmap: &JObject<'_>) -> Result<Self, Failure> {
            let refuse = |reason: &str| Err(Failure::Frame { reason: reason.to_owned() });
            if bitmap.is_null() {
                return refuse("the bitmap is null");
            }
            let (env, bitmap) = (env.get_raw(), bitmap.as_raw());
            let mut info = Info::default();
            // SAFETY: `env` belongs to this thread and `bitmap` is a live local reference; `info` has the layout of
            // AndroidBitmapInfo. An object that is no bitmap gives an error code.
            if unsafe { AndroidBitmap_getInfo(env, bitmap, &mut info) } != 0 {
                return refuse("the bitmap cannot be read; is it recycled?");
            }
            if info.format != RGBA_8888 && info.format != A_8 {
                return refuse("the bitmap is neither ARGB_8888 nor ALPHA_8; copy it to ARGB_8888");
            }
            let mut pixels = std::ptr::null_mut();
            // SAFETY: as above; the address is written on success only.
            let locked = unsafe { AndroidBitmap_lockPixels(env, bitmap, &mut pixels) };
            if locked != 0 || pixels.is_null() {
                return refuse("the bitmap's pixels cannot be locked; copy a hardware bitmap to ARGB_8888");
            }
            Ok(Self { env, bitmap, info, pixels: pixels.cast() })
        }

        pub fn layout(&self, rotation: i32) -> Result<FrameLayout, Failure> {
            let whole = |value: u32| {
                i32::try_from(value)
                    .map_err(|_| Failure::Frame { reason: "the bitmap is too large".to_owned() })
            };
            let (format, pixel_stride) = match self.info.format {
                A_8 => (PixelFormat::Gray, 1),
                _ => (PixelFormat::Rgb, 4),
            };
            Ok(FrameLayout {
                format,
                width: whole(self.info.width)?,
                height: whole(self.info.height)?,
                rotation,
                planes: vec![PlaneLayout { row_stride: whole(self.info.stride)?, pixel_stride }],
            })
        }

        pub fn pixels(&self) -> &[u8] {
            let len = self.info.stride as usize * self.info.height as usize;
            // SAFETY: the system says that `height` rows of `stride` bytes lie here until the bitmap is unlocked, which
            // happens when `self`, from which this borrows, is dropped.
            unsafe { std::slice::from_raw_parts(self.pixels, len) }
        }
    }

    impl Drop for Locked {
        fn drop(&mut self) {
            // SAFETY: locked by `new`, once, on this thread, and unlocked once.
            unsafe { AndroidBitmap_unlockPixels(self.env, self.bitmap) };
        }
    }
}
