import org.jetbrains.kotlin.gradle.dsl.JvmTarget

plugins {
    id("com.android.application")
    id("org.jetbrains.kotlin.android")
}

kotlin { compilerOptions { jvmTarget.set(JvmTarget.JVM_17) } }

android {
    namespace = "app.shelfsight.camera"
    compileSdk = 35
    defaultConfig {
        applicationId = "app.shelfsight.camera"
        minSdk = 24
        targetSdk = 35
        versionCode = 1
        versionName = "0.1.0"
    }
    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_17
        targetCompatibility = JavaVersion.VERSION_17
    }
    sourceSets["main"].assets.srcDir("${rootDir.parentFile}/target/phone/assets")
    androidResources { noCompress += "shelf" }
}

// The demo's pack, shelf and photos.
val demo by tasks.registering(Exec::class) {
    workingDir = rootDir.parentFile
    commandLine("bash", "scripts/make-demo.sh")
}
tasks.named("preBuild") { dependsOn(demo) }

dependencies {
    implementation(project(":library"))
}
