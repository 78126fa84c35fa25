// For those who have Gradle, the Android SDK and the NDK. `scripts/build-android.sh` builds the same without them.
plugins {
    id("com.android.library")
    id("org.jetbrains.kotlin.android")
}

val repository = rootDir.parentFile

android {
    namespace = "app.shelfsight.android"
    compileSdk = 35
    defaultConfig {
        minSdk = 24
        consumerProguardFiles("consumer-rules.pro")
        ndk { abiFilters += "arm64-v8a" }
    }
    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_17
        targetCompatibility = JavaVersion.VERSION_17
    }
    kotlinOptions { jvmTarget = "17" }
    sourceSets["main"].apply {
        kotlin.srcDirs(
            "src/main/kotlin",
            "$repository/bindings/kotlin/src/main/kotlin",
            "$repository/target/phone/kotlin",
        )
        jniLibs.srcDir("$repository/target/phone/jniLibs")
    }
}

// The native library, by the NDK's linker: cargo install cargo-ndk; rustup target add aarch64-linux-android
val native by tasks.registering(Exec::class) {
    workingDir = repository
    commandLine(
        "bash", "-c",
        "scripts/generate-bindings.sh && cargo ndk --target arm64-v8a --platform 24 " +
            "--output-dir target/phone/jniLibs build --profile release-mobile --locked -p shelfsight-ffi",
    )
}
tasks.named("preBuild") { dependsOn(native) }

dependencies {
    api("org.jetbrains.kotlinx:kotlinx-coroutines-android:1.10.2")
    implementation("net.java.dev.jna:jna:5.18.1@aar")
}
