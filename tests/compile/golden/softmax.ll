define internal float @cr.exp.f32(float %x) alwaysinline nounwind willreturn memory(none) {
  %v1 = call float @llvm.fma.f32(float %x, float 0x3FF7154760000000, float 0x4168000000000000)
  %v2 = fsub float %v1, 0x4168000000000000
  %v3 = bitcast float %v1 to i32
  %v4 = call float @llvm.fma.f32(float %v2, float 0xBFE62E8000000000, float %x)
  %v5 = call float @llvm.fma.f32(float %v2, float 0x3EFE8082E0000000, float %v4)
  %v6 = fmul float %v5, %v5
  %v7 = call float @llvm.fma.f32(float %v5, float 0x3F2A1A2D80000000, float 0x3F56D76500000000)
  %v8 = call float @llvm.fma.f32(float %v5, float %v7, float 0x3F811108E0000000)
  %v9 = call float @llvm.fma.f32(float %v5, float %v8, float 0x3FA5554AC0000000)
  %v10 = call float @llvm.fma.f32(float %v5, float %v9, float 0x3FC5555560000000)
  %v11 = call float @llvm.fma.f32(float %v5, float %v10, float 0x3FE0000000000000)
  %v12 = call float @llvm.fma.f32(float %v6, float %v11, float %v5)
  %v13 = fadd float %v12, 0x3FF0000000000000
  %v14 = bitcast float %v13 to i32
  %v15 = shl i32 %v3, 23
  %v16 = add i32 %v14, %v15
  %v17 = bitcast i32 %v16 to float
  %v18 = fcmp olt float %x, 0xC055D589E0000000
  %v19 = select i1 %v18, float 0x0000000000000000, float %v17
  %v20 = fcmp ole float %x, 0x40562E42E0000000
  %v21 = fadd float %x, 0x7FF0000000000000
  %v22 = select i1 %v20, float %v19, float %v21
  ret float %v22
}


define internal void @kernel0(ptr noalias %buffers, i64 %begin, i64 %end) noinline #0 {
entry:
  %acc.a1 = alloca float
  %a0 = getelementptr inbounds ptr, ptr %buffers, i64 0
  %b0 = load ptr, ptr %a0, !invariant.load !6
  %acc.a4 = alloca float
  %a1 = getelementptr inbounds ptr, ptr %buffers, i64 1
  %b1 = load ptr, ptr %a1, !invariant.load !11
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
  store float 0xFFF0000000000000, ptr %acc.a1
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
  %v16 = call float @llvm.maximum.f32(float %v15, float %v14)
  store float %v16, ptr %acc.a1
  br label %latch8
latch8:
  %body7.next = add nsw i64 %body7.i, 1
  %v17 = icmp slt i64 %body7.next, 8
  br i1 %v17, label %body7, label %leave9, !llvm.loop !5
leave9:
  %v18 = load float, ptr %acc.a1
  store float 0x0000000000000000, ptr %acc.a4
  br label %before19
before19:
  %v23 = icmp slt i64 0, 8
  br i1 %v23, label %body20, label %leave22
body20:
  %body20.i = phi i64 [ 0, %before19 ], [ %body20.next, %latch21 ]
  %v24 = mul nsw i64 %body2.i, 8
  %v25 = add nsw i64 %v24, %body20.i
  %v26 = getelementptr inbounds float, ptr %b0, i64 %v25
  %v27 = load float, ptr %v26, !llvm.access.group !7
  %v28 = fsub contract  float %v27, %v18
  %v29 = call float @cr.exp.f32(float %v28)
  %v30 = mul nsw i64 %body2.i, 8
  %v31 = add nsw i64 %v30, %body20.i
  %v32 = getelementptr inbounds float, ptr %b1, i64 %v31
  store float %v29, ptr %v32, !llvm.access.group !7
  %v33 = load float, ptr %acc.a4
  %v34 = fadd reassoc contract float %v33, %v29
  store float %v34, ptr %acc.a4
  br label %latch21
latch21:
  %body20.next = add nsw i64 %body20.i, 1
  %v35 = icmp slt i64 %body20.next, 8
  br i1 %v35, label %body20, label %leave22, !llvm.loop !10
leave22:
  %v36 = load float, ptr %acc.a4
  br label %before37
before37:
  %v41 = icmp slt i64 0, 8
  br i1 %v41, label %body38, label %leave40
body38:
  %body38.i = phi i64 [ 0, %before37 ], [ %body38.next, %latch39 ]
  %v42 = mul nsw i64 %body2.i, 8
  %v43 = add nsw i64 %v42, %body38.i
  %v44 = getelementptr inbounds float, ptr %b1, i64 %v43
  %v45 = load float, ptr %v44, !llvm.access.group !12
  %v46 = fdiv contract  float %v45, %v36
  %v47 = mul nsw i64 %body2.i, 8
  %v48 = add nsw i64 %v47, %body38.i
  %v49 = getelementptr inbounds float, ptr %b2, i64 %v48
  store float %v46, ptr %v49, !llvm.access.group !12
  br label %latch39
latch39:
  %body38.next = add nsw i64 %body38.i, 1
  %v50 = icmp slt i64 %body38.next, 8
  br i1 %v50, label %body38, label %leave40, !llvm.loop !15
leave40:
  br label %latch3
latch3:
  %body2.next = add nsw i64 %body2.i, 1
  %v51 = icmp slt i64 %body2.next, %end
  br i1 %v51, label %body2, label %leave4, !llvm.loop !1
leave4:
  ret void
}

define internal i32 @part0.8(ptr noalias %buffers, ptr %context) noinline #0 {
  %t0 = alloca [3 x ptr]
  ; cluster 0
  %v1 = load ptr, ptr %buffers
  store ptr %v1, ptr %t0
  %v2 = getelementptr inbounds ptr, ptr %buffers, i64 2
  %v3 = load ptr, ptr %v2
  %v4 = getelementptr inbounds ptr, ptr %t0, i64 1
  store ptr %v3, ptr %v4
  %v5 = getelementptr inbounds ptr, ptr %buffers, i64 1
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
  %status = call i32 @part0.8(ptr %buffers, ptr %context)
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
!11 = !{}
!12 = distinct !{}
!13 = !{!"llvm.loop.parallel_accesses", !12}
!14 = !{!"llvm.loop.unroll.disable"}
!15 = distinct !{!15, !13, !14}
!16 = !{}

