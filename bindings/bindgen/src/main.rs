//! Writes the sources by which Kotlin and Swift call the library: `shelfsight-bindgen generate --language kotlin …`.
//! Apart from the library, which would otherwise be built with the generator in it.

fn main() {
    uniffi::uniffi_bindgen_main();
}
