// For those who have Gradle, the Android SDK and the NDK. `scripts/build-android.sh` builds the same without them.
import org.jetbrains.kotlin.gradle.dsl.JvmTarget

plugins {
    id("com.android.library")
    id("org.jetbrains.kotlin.android")
}

// By these coordinates a build that includes this one depends on it.
group = "app.shelfsight"
version = "0.1.0"

val repository = rootDir.parentFile

kotlin { compilerOptions { jvmTarget.set(JvmTarget.JVM_17) } }

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
