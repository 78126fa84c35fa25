#!/usr/bin/env bash
# The Android library (AAR) and camera app (APK), built and tested without Gradle, SDK and NDK:
#   target/phone/shelfsight.aar, target/phone/shelfsight-camera.apk, target/phone/screenshots/
# The app's screens are driven by Robolectric with the real library. The APK is signed with a key made here, for trying out.
set -euo pipefail
cd "$(dirname "$0")/.."
packages=()
command -v mvn >/dev/null || packages+=(maven)
command -v javac >/dev/null || packages+=(openjdk-17-jdk-headless)
command -v aapt2 >/dev/null || packages+=(aapt)
command -v apksigner >/dev/null || packages+=(apksigner)
for tool in zip unzip; do command -v $tool >/dev/null || packages+=($tool); done
framework=/usr/share/android-framework-res/framework-res.apk
[ -e $framework ] || packages+=(android-framework-res)
# Robolectric draws with the system's fonts.
[ -e /usr/share/fontconfig ] || packages+=(fontconfig)
if [ ${#packages[@]} -gt 0 ]; then
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null
fi
scripts/generate-bindings.sh
scripts/make-demo.sh
scripts/build-android-so.sh

phone=$PWD/target/phone
work=$phone/android
mkdir -p "$work"
assets=$phone/assets

echo "== resources"
rm -rf "$work/gen" "$work/compiled.zip"
mkdir -p "$work/gen"
aapt2 compile --dir android/app/src/main/res -o "$work/compiled.zip"
aapt2 link -o "$work/resources.apk" -I $framework --manifest android/app/src/main/AndroidManifest.xml \
    --java "$work/gen" -A "$assets" -0 shelf -0 jpg "$work/compiled.zip"
mkdir -p "$work/test-config/com/android/tools"
cat >"$work/test-config/com/android/tools/test_config.properties" <<EOF
android_merged_manifest=$PWD/android/app/src/main/AndroidManifest.xml
android_merged_assets=$assets
android_resource_apk=$work/resources.apk
android_custom_package=app.shelfsight.camera
EOF

echo "== compile, and drive the screens"
mvn -B -q --no-transfer-progress -f android/pom.xml package

echo "== AAR"
aar=$work/aar-contents
rm -rf "$aar" "$work/app-classes"
mkdir -p "$aar/jni/arm64-v8a" "$aar/META-INF/licences" "$work/app-classes"
cp -r "$work/maven/classes/." "$work/app-classes/"
(cd "$work/maven/classes" && find . -path ./app/shelfsight/camera -prune -o -type f -print | sort | zip -q -X "$aar/classes.jar" -@)
cp android/library/src/main/AndroidManifest.xml "$aar/"
cp android/library/consumer-rules.pro "$aar/proguard.txt"
cp "$phone/jniLibs/arm64-v8a/libshelfsight_ffi.so" "$aar/jni/arm64-v8a/"
cp LICENSE-APACHE LICENSE-MIT "$aar/META-INF/licences/"
python3 scripts/licences.py >"$aar/META-INF/licences/THIRD-PARTY.txt"
: >"$aar/R.txt"
rm -f "$phone/shelfsight.aar"
(cd "$aar" && zip -q -X -r "$phone/shelfsight.aar" .)

echo "== the guide's code, against the AAR alone"
rm -rf "$work/guide"
python3 scripts/check-guides.py --android "$work/guide"
mvn -B -q --no-transfer-progress -f android/guide-pom.xml compile

echo "== APK"
java_home=$(dirname "$(dirname "$(readlink -f "$(command -v javac)")")")
rm -rf "$work/dex" "$work/lib"
mkdir -p "$work/dex" "$work/lib/arm64-v8a"
(cd "$work/app-classes" && rm -f "$work/app.jar" && zip -q -X -r "$work/app.jar" app)
# R8 with the rules that apps get with the AAR: what they forget to keep is missing from the APK, and checked below.
java -Xmx1500m -cp "$work/tools/r8-9.5.28.jar" com.android.tools.r8.R8 --release --min-api 24 \
    --lib "$work/tools/android-all-15-robolectric-13954326.jar" --lib "$java_home" \
    --pg-conf android/library/consumer-rules.pro --pg-conf android/app/proguard-rules.pro \
    --output "$work/dex" "$work/app.jar" "$work"/runtime/*.jar 2>"$work/r8.log" || { tail -20 "$work/r8.log"; exit 1; }
cp "$phone/jniLibs/arm64-v8a/libshelfsight_ffi.so" "$work/lib/arm64-v8a/"
unzip -q -o -j "$work/tools/jna-5.18.1.aar" jni/arm64-v8a/libjnidispatch.so -d "$work/lib/arm64-v8a"
python3 scripts/pack-apk.py "$work/resources.apk" "$work/unsigned.apk" "$work/dex" "$work/lib"
key=${XDG_CACHE_HOME:-$HOME/.cache}/shelfsight/try-out.keystore
[ -e "$key" ] || keytool -genkeypair -keystore "$key" -storepass android -keypass android -alias try-out -keyalg RSA \
    -keysize 2048 -validity 10000 -dname "CN=ShelfSight try-out" 2>/dev/null
apksigner sign --ks "$key" --ks-pass pass:android --min-sdk-version 24 \
    --out "$phone/shelfsight-camera.apk" "$work/unsigned.apk"
apksigner verify --min-sdk-version 24 --verbose "$phone/shelfsight-camera.apk" | grep -E 'Verified using v[23] scheme.*true' || {
    echo "the APK's signature does not verify" >&2
    exit 1
}
python3 scripts/pack-apk.py --check "$phone/shelfsight-camera.apk"
ls -l "$phone/shelfsight.aar" "$phone/shelfsight-camera.apk"
cat <<EOF
Not run, for want of a phone, an emulator and Google's Maven repository: the APK and the 64-bit ARM library themselves,
Camera2's delivery of frames, and the Gradle files. The screens were driven on this machine's JVM with its own library.
EOF
