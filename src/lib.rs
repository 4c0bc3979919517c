//! livestack stacks astronomical frames. The GPU does the pixels, a CPU twin of every shader stands in where there is
//! no GPU, the host reads files and decides. This page is the architecture of the project.
//!
//! # Map
//!
//! | where | what |
//! |---|---|
//! | `main` | parse, choose the backend, run, exit code |
//! | [`cli`], [`config`] | flags and help; validated settings |
//! | [`error`] | errors in one line, exit codes |
//! | [`start`], [`signals`] | work on whichever backend is chosen, and on the CPU where the GPU fails; what signals ask for |
//! | [`stack`] | the `stack` command: the loop over frames; and one frame after the other, for both commands |
//! | [`session`] | `watch`, `add`, `status`: the live loop, journal, checkpoints, publishing |
//! | [`inputs`], [`decode`], [`io`] | which files, in what order; decoding ahead; one file a format, the `FORMATS` table |
//! | [`frame`], [`sensor`], [`tags`] | a frame on the host; what its samples mean; what its header says |
//! | [`calibration`], [`master`] | which masters a night has; frames made into one in bounded memory, kept, and how lights are calibrated |
//! | [`engine`], `colours`, [`picture`] | the stages of one frame, written once for every backend; mosaic to colours; what is shown of the stacks |
//! | [`align`] | star list, grade, rungs of starts, ECC solve, motion models, the template that settles and grows |
//! | [`judge`], [`photometry`] | which frames are stacked; how those of another exposure are brought to the stack's levels |
//! | [`mod@kernels`] | one file a kernel: parameters, CPU twin, typed call; its WGSL has the same stem under `shaders/` |
//! | [`rules`] | the accumulation rules, a table; their WGSL under `shaders/rules/` |
//! | [`backend`] | the seam: the CPU runs twins over bands of rows, the GPU dispatches shaders over the same bands |
//! | [`checkpoint`], [`path_bytes`] | a running stack in a file, taken up again bit for bit; paths in it; each `saved` module beside what it stores |
//! | [`outputs`], [`summary`], [`record`], [`report`] | pictures, their headers, `frames.jsonl`, what the user sees |
//! | [`watch`] | a hot folder: which files in it are complete, and which were overwritten |
//! | [`build_master`] | the `master` command |
//! | [`mod@bench`] | the `bench` command: frames generated or given, sent through both backends, and what limits them |
//! | [`page`], [`service`], [`legacy`] | the page that the room sees; systemd's notify protocol; the original script's command line |
//! | [`memory`], [`timing`], [`mod@cache_dir`] | how much may be used, and how much a night takes; one span per kernel and host stage; where caches lie |
//!
//! # Data flow
//!
//! ```text
//! path -> io::read (threads, a stated number of frames ahead) -> Frame -> Engine::examine
//!   upload       native samples, once
//!   calibrate    unpack, black, dark, flat: one plane a colour, as narrow as the arithmetic allows (u8, u16 fixed point,
//!                f32); a mosaic stays one f32 plane
//!   repair       mosaics: hot pixels, listed by the dark or found by their neighbours
//!   demosaic     mosaics: three planes
//!   gray         luminance in 16 bits, isolated hot pixels out: for alignment only
//!   tiles        per 16x16 tile: peak and its place, sum, gradients -> small table, read back; and the plane binned 4x4
//!   (host)       background mesh, noise, star candidates
//!   measure      per candidate: weighted moments -> read back, the host has flux, centroid, FWHM, elongation (three times)
//!   (host)       grade, patches around stars; start: predicted, asterisms, phase correlation, search
//!   template     the reference's patches; means of the first frames, stars that enter
//!   ecc          per patch: the sums of the normal equations -> read back, the host solves in f64 (repeat)
//!   (host)       judge: stacked, scaled, rejected, or a new stack -> Engine::stack
//!   accumulate   warp one plane and apply the rules to their stacks, in place
//!   coverage     count the frames that cover each pixel, after the last colour plane
//!   histogram, present    on demand: maximum, median and deviation; stack -> 8-bit picture -> read back
//! ```
//!
//! Pixels cross the bus once going in; only tables, sums and pictures come back.
//!
//! # A session
//!
//! ```text
//! watch (thread)    folder -> settled files ------------------+
//! readers (threads) file -> frame, its CRC and its print -----+--> one channel --> the loop (session::live)
//! publisher (thread) pictures -> PNG, latest.jpg, the page ---+      waits, feeds the readers, decides one frame at a
//! inbox/            requests of `add`, looked for ------------+      time: Run::frame, as `stack` does
//!                                                                    -> journal.jsonl, synced
//!                                                                    -> now and then: render for the publisher, checkpoint
//! ```
//!
//! The journal is the truth: a decision counts once its line is synced. A checkpoint says which line it stands for; taking up
//! a session is loading it and deciding again, in the journal's order, the files of the lines after it, each known by its
//! CRC. What comes out as before needs no new line; where it does not (a file is gone), the lines from there on are declared
//! void and new ones follow. `frames.jsonl` is the journal's valid records.
//!
//! # Decisions
//!
//! - **Every kernel is a map over rows of its outputs** (rows of pixels, of tiles, patches, strips), so that bands,
//!   threads and dispatches are written once. See [`mod@kernels`].
//! - **ECC returns the sums of each patch**, 48 numbers, not one vector for the frame. The host forms the normal
//!   equations of any motion model from them, in f64, and can judge each star by its own residual and leave it out (a
//!   satellite, a plane, a hot column). 768 patches are 150 kB: less than one round trip's latency on a bus. Positions go
//!   to the device as an exact integer pixel and a small fraction, so nothing is lost on large frames.
//! - **Alignment samples with a cubic B-spline** as a smoothing kernel: value and gradient belong to one smooth function,
//!   and noise does not favour half pixels. The stack itself is warped bilinearly. See [`kernels::sample`].
//! - **A window around each star**: outside there is only noise, and the part of it that stands still on the sensor pulls
//!   towards no motion.
//! - **Stars are measured with a weight that is fitted to each** (adaptive moments), three passes of one small kernel; the
//!   noise of a flux is measured at empty places, since cameras smooth it into blobs that look like stars. See
//!   [`align::stars`].
//! - **A scene is its own background**: a mesh that stands still on the sensor must not be taken off the Moon. Scenes end on
//!   the binned plane unless they are sharp at full size. See [`align`].
//! - **A pose has a usual shape**: scale, shear and perspective follow the last frames unless a frame's own differ by more
//!   than noise explains; shift and rotation are its own. See [`align::order`].
//! - **The template settles, then stays; and it grows** where stars enter. The reference's own noise would otherwise show
//!   in the poses as the field drifts. With `--align-to first` it is the first frame, all night. See `align::grow`.
//! - **Examine, judge, stack**: the stack changes only in the last step, so a rejected frame leaves no trace.
//! - **A checkpoint holds what frames have left behind**, and nothing that the same files make anew (masters, plans, the
//!   frame at hand). Every struct is taken apart field by field where it is stored, so that a new field cannot be
//!   forgotten; host values go through serde, planes as they lie on the device. See [`checkpoint`].
//! - **What is decided again is read again**: a replaced reference or a new target goes back to the files, not to frames
//!   kept in memory.
//! - **A frame asks the device for as little as the host's decisions allow**, and that is counted
//!   ([`backend::gpu::Counts`], bounds in `tests/gpu_frames.rs`). One submission goes from the upload to the read-back of
//!   the tile table, one each for the passes over the stars and the iterations of ECC, one for the stack, at once, so that
//!   the device works while the host waits for the next frame and copies it into mapped memory: 9 submissions and 8 waits
//!   for a tracked frame (3 iterations; one of each less once the template has settled), 1 and none for a frame with a
//!   given pose.
//! - **ECC is solved on the host on every backend.** Several iterations a submission would need the solve, the background
//!   mesh and the patches' geometry on the device, in f32, to save one round trip of three: the host must see the sums
//!   where it judges the patches, and in the end. Trips are short beside decoding; poses stay the same f64 arithmetic.
//! - **Compiled kernels are kept on disk** where the driver hands them out; what is found there is checked before a driver
//!   sees it. See [`mod@cache_dir`].
//! - **The pose of the warp is split** into an integer map and a small remainder, for the same reason. See
//!   [`kernels::accumulate::Pose`].
//! - **Rules that differ only in how they are shown share their state** (`addmax2` shows `addmax` divided by its maximum):
//!   the seven rules have six states, which is what one pass can bind. More would take a second pass that warps again.
//! - **Working planes are as narrow as exactness allows**: samples without a dark keep their type; 8-bit samples less a
//!   dark whose values are multiples of 1/256 are exact in 16-bit fixed point (a `peak-mean` master of up to nine darks
//!   always is); anything else is f32.
//! - **Half size comes out of `calibrate`**: planes of full size would take the memory that `--bin 2` is to save. The mean of four
//!   samples is exact: bytes are summed in 16 bits, the rest (18 bits of a fixed-point sum) fits an f32. Mosaics take the road of
//!   superpixels. See [`kernels::calibrate`].
//! - **What a night takes is known before it begins**, by one formula that tests hold against allocations and peaks: see
//!   [`memory::need`].
//! - **A CPU twin is written for vector units**: conversions that do not saturate (`kernels::whole`), no closure where the
//!   instruction set must follow, columns summed before rows in small windows. The stack is warped by stretches of a row that
//!   share one whole-pixel offset (`kernels::warp`): a tracked night has a few a row, behind a meridian flip too; other maps go
//!   pixel by pixel.
//! - **Dark and flat are one buffer of pairs**: with both for three colours apart, eight storage buffers would not do.
//! - **White balance is a gain in `calibrate`**, before colours are interpolated (gradients of balanced colours agree); the
//!   camera's matrix is linear and waits until something is shown. In pictures the sensor's clipping is white; linear
//!   outputs keep all there is.
//! - **Formats differ in what their samples mean, nowhere else**: [`sensor::Sensor`] travels with the frame, and
//!   `linear` chooses rule, master, dark rule and stretch where nobody says.
//! - **Medians of many frames** wait in an unnamed temporary file and are found band by band; where there is no room, the files
//!   are read several times. See [`master::build`].
//! - **Alignment's gray is 16 bits** with a pedestal: half the memory of f32, integer arithmetic that is the same on every
//!   device, and 61 Mpix still fit one binding.
//!
//! # Adding things
//!
//! - A rule: one WGSL file, one Rust file, one line in `rules!`. Contract, parity and golden tests, the command line and
//!   the bench enrol it from the table.
//! - A format: one file, one line in [`io::FORMATS`]. Nothing else matches on extensions.
//! - A kernel: one WGSL file, one Rust file with its cases, one line in `kernels!`, one call in [`engine`].

pub mod align;
pub mod backend;
pub mod bench;
pub mod build_master;
pub mod cache_dir;
pub mod calibration;
pub mod checkpoint;
pub mod cli;
mod colours;
pub mod config;
pub mod decode;
pub mod engine;
pub mod error;
pub mod frame;
pub mod inputs;
pub mod io;
pub mod judge;
pub mod kernels;
pub mod legacy;
pub mod master;
pub mod memory;
pub mod outputs;
pub mod page;
pub mod path_bytes;
pub mod photometry;
pub mod picture;
pub mod record;
pub mod report;
pub mod rules;
pub mod sensor;
pub mod service;
pub mod session;
pub mod signals;
pub mod stack;
pub mod start;
pub mod summary;
pub mod tags;
pub mod timing;
pub mod watch;
