plugins {
    id("com.android.application")
    id("org.jetbrains.kotlin.android")
}

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
    kotlinOptions { jvmTarget = "17" }
    // The demo's pack, shelf and photos: scripts/make-demo.sh
    sourceSets["main"].assets.srcDir("${rootDir.parentFile}/target/phone/assets")
    androidResources { noCompress += "shelf" }
}

dependencies {
    implementation(project(":library"))
}
