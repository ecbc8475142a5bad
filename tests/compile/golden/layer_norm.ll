define internal float @cr.sqrt.f32(float %x) alwaysinline nounwind willreturn memory(none) {
  %v1 = call float @llvm.sqrt.f32(float %x)
  ret float %v1
}


define internal void @kernel0(ptr noalias %buffers, i64 %begin, i64 %end) noinline #0 {
entry:
  %acc.a1 = alloca float
  %a0 = getelementptr inbounds ptr, ptr %buffers, i64 0
  %b0 = load ptr, ptr %a0, !invariant.load !6
  %acc.a5 = alloca float
  %a1 = getelementptr inbounds ptr, ptr %buffers, i64 1
  %b1 = load ptr, ptr %a1, !invariant.load !15
  %a2 = getelementptr inbounds ptr, ptr %buffers, i64 2
  %b2 = load ptr, ptr %a2, !invariant.load !16
  br label %start
start:
  br label %before1
before1:
  %v5 = icmp slt i64 %begin, %end
  br i1 %v5, label %body2, label %leave4
body2:
  %body2.i = phi i64 [ %begin, %before1 ], [ %body2.next, %latch3 ]
  store float 0x0000000000000000, ptr %acc.a1
  br label %before6
before6:
  %v10 = icmp slt i64 0, 8
  br i1 %v10, label %body7, label %leave9
body7:
  %body7.i = phi i64 [ 0, %before6 ], [ %body7.next, %latch8 ]
  %v11 = mul nsw i64 %body2.i, 8
  %v12 = add nsw i64 %v11, %body7.i
  %v13 = getelementptr inbounds float, ptr %b0, i64 %v12
  %v14 = load float, ptr %v13, !llvm.access.group !2
  %v15 = load float, ptr %acc.a1
  %v16 = fadd reassoc contract float %v15, %v14
  store float %v16, ptr %acc.a1
  br label %latch8
latch8:
  %body7.next = add nsw i64 %body7.i, 1
  %v17 = icmp slt i64 %body7.next, 8
  br i1 %v17, label %body7, label %leave9, !llvm.loop !5
leave9:
  %v18 = load float, ptr %acc.a1
  %v19 = fmul contract  float %v18, 0x3FC0000000000000
  store float 0x0000000000000000, ptr %acc.a5
  br label %before20
before20:
  %v24 = icmp slt i64 0, 8
  br i1 %v24, label %body21, label %leave23
body21:
  %body21.i = phi i64 [ 0, %before20 ], [ %body21.next, %latch22 ]
  %v25 = mul nsw i64 %body2.i, 8
  %v26 = add nsw i64 %v25, %body21.i
  %v27 = getelementptr inbounds float, ptr %b0, i64 %v26
  %v28 = load float, ptr %v27, !llvm.access.group !7
  %v29 = fsub contract  float %v28, %v19
  %v30 = fmul contract  float %v29, %v29
  %v31 = load float, ptr %acc.a5
  %v32 = fadd reassoc contract float %v31, %v30
  store float %v32, ptr %acc.a5
  br label %latch22
latch22:
  %body21.next = add nsw i64 %body21.i, 1
  %v33 = icmp slt i64 %body21.next, 8
  br i1 %v33, label %body21, label %leave23, !llvm.loop !10
leave23:
  %v34 = load float, ptr %acc.a5
  %v35 = fmul contract  float %v34, 0x3FC0000000000000
  %v36 = fadd contract  float %v35, 0x3EE4F8B580000000
  %v37 = call float @cr.sqrt.f32(float %v36)
  br label %before38
before38:
  %v42 = icmp slt i64 0, 8
  br i1 %v42, label %body39, label %leave41
body39:
  %body39.i = phi i64 [ 0, %before38 ], [ %body39.next, %latch40 ]
  %v43 = getelementptr inbounds float, ptr %b1, i64 %body39.i
  %v44 = load float, ptr %v43, !llvm.access.group !11
  %v45 = mul nsw i64 %body2.i, 8
  %v46 = add nsw i64 %v45, %body39.i
  %v47 = getelementptr inbounds float, ptr %b0, i64 %v46
  %v48 = load float, ptr %v47, !llvm.access.group !11
  %v49 = fsub contract  float %v48, %v19
  %v50 = fmul contract  float %v44, %v49
  %v51 = fdiv contract  float %v50, %v37
  %v52 = mul nsw i64 %body2.i, 8
  %v53 = add nsw i64 %v52, %body39.i
  %v54 = getelementptr inbounds float, ptr %b2, i64 %v53
  store float %v51, ptr %v54, !llvm.access.group !11
  br label %latch40
latch40:
  %body39.next = add nsw i64 %body39.i, 1
  %v55 = icmp slt i64 %body39.next, 8
  br i1 %v55, label %body39, label %leave41, !llvm.loop !14
leave41:
  br label %latch3
latch3:
  %body2.next = add nsw i64 %body2.i, 1
  %v56 = icmp slt i64 %body2.next, %end
  br i1 %v56, label %body2, label %leave4, !llvm.loop !1
leave4:
  ret void
}

define internal i32 @part0.16(ptr noalias %buffers, ptr %context) noinline #0 {
  %t0 = alloca [3 x ptr]
  ; cluster 0
  %v1 = load ptr, ptr %buffers
  store ptr %v1, ptr %t0
  %v2 = getelementptr inbounds ptr, ptr %buffers, i64 1
  %v3 = load ptr, ptr %v2
  %v4 = getelementptr inbounds ptr, ptr %t0, i64 1
  store ptr %v3, ptr %v4
  %v5 = getelementptr inbounds ptr, ptr %buffers, i64 2
  %v6 = load ptr, ptr %v5
  %v7 = getelementptr inbounds ptr, ptr %t0, i64 2
  store ptr %v6, ptr %v7
  call void @kernel0(ptr %t0, i64 0, i64 3)
  ret i32 0
}

define i32 @program(ptr %buffers, ptr %context) #0 {
  call void @cr.enter(ptr %context)
  %cr.mode.slot = alloca i32
  call void @llvm.x86.sse.stmxcsr(ptr %cr.mode.slot)
  %cr.mode.saved = load i32, ptr %cr.mode.slot
  %cr.mode.flush = or i32 %cr.mode.saved, 32832
  store i32 %cr.mode.flush, ptr %cr.mode.slot
  call void @llvm.x86.sse.ldmxcsr(ptr %cr.mode.slot)
  %status = call i32 @part0.16(ptr %buffers, ptr %context)
  store i32 %cr.mode.saved, ptr %cr.mode.slot
  call void @llvm.x86.sse.ldmxcsr(ptr %cr.mode.slot)
  call void @cr.leave(ptr %context)
  ret i32 %status
}

attributes #0 = { nounwind "prefer-vector-width"="256" "no-trapping-math"="true" }

!0 = !{!"llvm.loop.unroll.disable"}
!1 = distinct !{!1, !0}
!2 = distinct !{}
!3 = !{!"llvm.loop.parallel_accesses", !2}
!4 = !{!"llvm.loop.unroll.disable"}
!5 = distinct !{!5, !3, !4}
!6 = !{}
!7 = distinct !{}
!8 = !{!"llvm.loop.parallel_accesses", !7}
!9 = !{!"llvm.loop.unroll.disable"}
!10 = distinct !{!10, !8, !9}
!11 = distinct !{}
!12 = !{!"llvm.loop.parallel_accesses", !11}
!13 = !{!"llvm.loop.unroll.disable"}
!14 = distinct !{!14, !12, !13}
!15 = !{}
!16 = !{}

