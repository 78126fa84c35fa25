package app.shelfsight.android

import android.Manifest
import android.annotation.SuppressLint
import android.content.Context
import android.content.pm.PackageManager
import android.graphics.ImageFormat
import android.hardware.camera2.CameraAccessException
import android.hardware.camera2.CameraCaptureSession
import android.hardware.camera2.CameraCharacteristics
import android.hardware.camera2.CameraDevice
import android.hardware.camera2.CameraManager
import android.hardware.camera2.CaptureRequest
import android.media.ImageReader
import android.os.Handler
import android.os.HandlerThread
import android.util.Size
import android.view.Surface
import app.shelfsight.Frame
import kotlinx.coroutines.channels.Channel
import kotlinx.coroutines.channels.SendChannel
import kotlinx.coroutines.channels.awaitClose
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.callbackFlow
import kotlinx.coroutines.flow.collect
import kotlinx.coroutines.flow.flow
import kotlinx.coroutines.launch
import java.io.IOException
import java.util.concurrent.atomic.AtomicBoolean
import java.util.concurrent.atomic.AtomicReference

/** The camera cannot be used: permission, another app, or a fault of the device. */
public class CameraException(public val reason: String) : IOException(reason)

/** The back camera as a flow of frames for [app.shelfsight.Engine.scan]. */
public class CameraFrames(context: Context) {
    private val context = context.applicationContext
    private val manager = context.getSystemService(CameraManager::class.java)

    /** What was chosen of the device's cameras. */
    public class Choice internal constructor(
        /** As Camera2 knows it. */
        public val id: String,
        /** Of frames and preview, as the sensor sees it. */
        public val size: Size,
        /** `SENSOR_ORIENTATION`. */
        public val sensorOrientation: Int,
        /** It faces the user. */
        public val facesFront: Boolean,
    )

    /** The first back camera, else any, with the size nearest to [pixels] at 4:3; null if there is none. */
    public fun choose(pixels: Int = 1280 * 960): Choice? {
        val cameras = try {
            manager?.cameraIdList.orEmpty().map { it to manager!!.getCameraCharacteristics(it) }
        } catch (away: CameraAccessException) {
            return null
        } catch (gone: IllegalArgumentException) {
            return null // unplugged in between
        }
        val back = CameraCharacteristics.LENS_FACING_BACK
        val (id, camera) = cameras.firstOrNull { it.second[CameraCharacteristics.LENS_FACING] == back }
            ?: cameras.firstOrNull() ?: return null
        val streams = camera[CameraCharacteristics.SCALER_STREAM_CONFIGURATION_MAP] ?: return null
        val size = streams.getOutputSizes(ImageFormat.YUV_420_888).orEmpty().minByOrNull {
            val wide = it.width * 3 - it.height * 4
            Math.abs(it.width * it.height - pixels) + if (wide == 0) 0 else pixels
        } ?: return null
        val front = camera[CameraCharacteristics.LENS_FACING] == CameraCharacteristics.LENS_FACING_FRONT
        return Choice(id, size, camera[CameraCharacteristics.SENSOR_ORIENTATION] ?: 0, front)
    }

    /**
     * Opens [choice] and delivers frames while collected; those that come while no one waits are closed at once, so the
     * camera never stalls. [preview] shows the same picture.
     *
     * The flow throws [CameraException] if the camera cannot be opened or goes away.
     */
    public fun frames(choice: Choice, preview: Surface?, displayDegrees: () -> Int): Flow<Frame> = flow {
        coroutineScope {
            // What is on its way to a collector when that is cancelled is nobody's any more: the channel closes it.
            val frames = Channel<Frame>(Channel.RENDEZVOUS, onUndeliveredElement = Frame::close)
            val camera = launch { capture(choice, preview, displayDegrees, frames).collect() }
            try {
                for (frame in frames) emit(frame)
            } finally {
                frames.cancel()
                camera.cancel()
            }
        }
    }

    private fun capture(
        choice: Choice,
        preview: Surface?,
        displayDegrees: () -> Int,
        frames: SendChannel<Frame>,
    ): Flow<Nothing> = callbackFlow {
        if (context.checkSelfPermission(Manifest.permission.CAMERA) != PackageManager.PERMISSION_GRANTED) {
            throw CameraException("the app may not use the camera; ask for the permission first")
        }
        val thread = HandlerThread("shelfsight-camera").apply { start() }
        val handler = Handler(thread.looper)
        // One that is looked at, one that waits, one that the camera writes.
        val reader = ImageReader.newInstance(choice.size.width, choice.size.height, ImageFormat.YUV_420_888, 3)
        val held = Held {
            reader.close()
            thread.quitSafely()
        }
        reader.setOnImageAvailableListener({
            // The stream may end while this runs: the reader then refuses, and there is nobody to tell.
            val image = runCatching { it.acquireLatestImage() }.getOrNull() ?: return@setOnImageAvailableListener
            val rotation = uprightRotation(choice.sensorOrientation, displayDegrees(), choice.facesFront)
            val frame = held.frame(image, rotation) ?: return@setOnImageAvailableListener
            if (frames.trySend(frame).isFailure) frame.close()
        }, handler)
        val ended = AtomicBoolean()
        val device = AtomicReference<CameraDevice?>()
        val targets = listOfNotNull(preview, reader.surface)
        val session = object : CameraCaptureSession.StateCallback() {
            override fun onConfigured(session: CameraCaptureSession) {
                try {
                    val request = session.device.createCaptureRequest(CameraDevice.TEMPLATE_PREVIEW)
                    targets.forEach(request::addTarget)
                    request[CaptureRequest.CONTROL_AF_MODE] = CaptureRequest.CONTROL_AF_MODE_CONTINUOUS_PICTURE
                    session.setRepeatingRequest(request.build(), null, handler)
                } catch (gone: Exception) {
                    close(CameraException("the camera went away: ${gone.message}"))
                }
            }

            override fun onConfigureFailed(session: CameraCaptureSession) {
                close(CameraException("the camera refuses this combination of preview and frames"))
            }
        }
        val state = object : CameraDevice.StateCallback() {
            override fun onOpened(camera: CameraDevice) {
                device.set(camera)
                if (ended.get()) {
                    device.getAndSet(null)?.close()
                    return
                }
                try {
                    @Suppress("DEPRECATION") // its successor needs Android 9
                    camera.createCaptureSession(targets, session, handler)
                } catch (gone: Exception) {
                    close(CameraException("the camera went away: ${gone.message}"))
                }
            }

            override fun onDisconnected(camera: CameraDevice) {
                camera.close()
                close(CameraException("another app took the camera"))
            }

            override fun onError(camera: CameraDevice, error: Int) {
                camera.close()
                close(CameraException("the camera reports error $error"))
            }
        }
        @SuppressLint("MissingPermission") // checked above
        fun open() = manager!!.openCamera(choice.id, state, handler)
        try {
            open()
        } catch (refused: Exception) {
            close(CameraException("the camera cannot be opened: ${refused.message}"))
        }
        awaitClose {
            ended.set(true)
            device.getAndSet(null)?.close()
            held.release()
        }
    }
}
