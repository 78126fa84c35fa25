package app.shelfsight

import kotlinx.coroutines.CoroutineDispatcher
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.channels.Channel
import kotlinx.coroutines.ensureActive
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.buffer
import kotlinx.coroutines.flow.flow
import kotlinx.coroutines.flow.flowOn
import java.io.File
import java.io.IOException
import java.io.InputStream
import kotlin.coroutines.coroutineContext

/** Brings packs onto the device. */
public object Packs {
    /**
     * Copies a pack from [source] to [target], checks every byte, and only then puts it in place, in one step: an older
     * pack at [target] stays until then, and engines that have it open keep it. What [Engine.add] added to the older pack
     * goes with it. [source] is closed.
     *
     * Progress counts bytes copied; the last value holds what the pack says of itself. Cancelled or failed, it leaves
     * nothing behind.
     *
     * @param size of the source where known, for the progress.
     */
    public fun import(
        target: File,
        size: Long = 0,
        dispatcher: CoroutineDispatcher = Dispatchers.IO,
        source: () -> InputStream,
    ): Flow<Progress<PackInfo>> = flow {
        val folder = target.absoluteFile.parentFile
        // createTempFile wants three letters.
        val part = File.createTempFile("${target.name}---", ".part", folder)
        try {
            val copied = source().use { input ->
                part.outputStream().use { output ->
                    var done = 0L
                    val buffer = ByteArray(1 shl 18)
                    while (true) {
                        coroutineContext.ensureActive()
                        val read = input.read(buffer)
                        if (read < 0) break
                        output.write(buffer, 0, read)
                        done += read
                        emit(Progress(done, maxOf(size, done)))
                    }
                    output.fd.sync()
                    done
                }
            }
            val info = Engine.open(part, EngineOptions(verify = true, dispatcher = dispatcher)).use { it.info }
            // One step, and replaces, on Android as on Linux; java.nio.file came with Android 8.
            if (!part.renameTo(target)) throw IOException("$target: the pack cannot be put here; is there a folder of this name?")
            // After the pack: a crash in between leaves one that is refused until it is imported again, and loses nothing.
            File("$target.journal").delete()
            emit(Progress(copied, copied, info))
        } finally {
            part.delete()
        }
    }.buffer(Channel.CONFLATED).flowOn(dispatcher)
}
